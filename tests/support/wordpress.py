"""A real WordPress for tests: Debian's packages, a private MariaDB and PHP's own server, gone at the end."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from pressroom_dev.local import processes
from pressroom_dev.local.ports import HOST, PortReservations
from pressroom_dev.local.processes import Child, spawn, wait_until

PACKAGES = (
    "wordpress wordpress-theme-twentytwentythree mariadb-server php-cli php-mysql php-gd php-curl php-xml"
    " php-mbstring php-zip"
)
USER = "editor-in-chief"
PREFERRED_PORT = 18081
START_SECONDS = 60.0
STOP_SECONDS = 20.0

_PROGRAM = Path("/usr/share/wordpress")
_TOOLS = ("php", "mariadbd", "mariadb-install-db", "mariadb")
# Servers live where the path of an ordinary user does not lead.
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"

_CONFIG = """<?php
define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:%(socket)s');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
define('WP_HOME', '%(url)s');
define('WP_SITEURL', '%(url)s');
// Application passwords over plain http are for local sites only.
define('WP_ENVIRONMENT_TYPE', 'local');
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('DISABLE_WP_CRON', true);
define('FS_METHOD', 'direct');
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {
    define($name . '_KEY', 'key-' . $name);
    define($name . '_SALT', 'salt-' . $name);
}
$table_prefix = 'wp_';
if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
"""

# PHP's server knows files only: what is none goes to WordPress, as a web server's rewrite rule has it.
_ROUTER = """<?php
$root = $_SERVER['DOCUMENT_ROOT'];
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (is_file($root . $path)) {
    return false;
}
$_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = '/index.php';
chdir($root);
require $root . '/index.php';
"""

_INSTALL = """<?php
[, $site, $host, $user] = $argv;
$_SERVER['HTTP_HOST'] = $host;
$_SERVER['REQUEST_URI'] = '/';
$_SERVER['REQUEST_METHOD'] = 'GET';
$_SERVER['SERVER_PROTOCOL'] = 'HTTP/1.1';
define('WP_INSTALLING', true);
require $site . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';
function wp_new_blog_notification() {}
wp_install('Test', $user, 'editor@example.test', true, '', 'a password for people');
$GLOBALS['wp_rewrite']->set_permalink_structure('/%postname%/');
flush_rewrite_rules(false);
$made = WP_Application_Passwords::create_new_application_password(
    get_user_by('login', $user)->ID, ['name' => 'tests']
);
fwrite(STDERR, "\\npassword=" . WP_Application_Passwords::chunk_password($made[0]) . "\\n");
"""


@dataclass(frozen=True)
class RunningWordPress:
    """Where it is and who may write there. ``password``: an application password of an administrator."""

    url: str
    user: str
    password: str
    folder: Path

    @contextmanager
    def plugin(self, code: str) -> Iterator[None]:
        """Have the site load a plugin for a while. ``code``: PHP, without the opening tag."""
        folder = self.folder / "wp-content" / "mu-plugins"
        folder.mkdir(exist_ok=True)
        # PHP keeps what it compiled for a while: another plugin needs another name.
        file = folder / f"{secrets.token_hex(8)}.php"
        file.write_text(f"<?php\n{code}\n", encoding="utf-8")
        try:
            yield
        finally:
            file.unlink()


def missing() -> str:
    """Why a WordPress cannot be started here, with the remedy; '' when it can."""
    lacks = [tool for tool in _TOOLS if shutil.which(tool, path=_PATH) is None]
    if not (_PROGRAM / "wp-settings.php").is_file():
        lacks.append(str(_PROGRAM))
    if not lacks:
        return ""
    return f"no {', '.join(lacks)}: apt-get install -y --no-install-recommends {PACKAGES}"


@contextmanager
def wordpress() -> Iterator[RunningWordPress]:
    """A fresh site on the loopback interface, installed and with an application password.

    Raises LocalServiceError with the end of a log when something does not start.
    """
    with tempfile.TemporaryDirectory(prefix="pressroom-wp-") as name:
        folder = Path(name)
        ports = PortReservations()
        children: list[Child] = []
        try:
            yield _start(folder, ports.take(PREFERRED_PORT), children)
        finally:
            # The site first: it is the database's client.
            processes.stop(children[::-1], grace=STOP_SECONDS)
            ports.release()


def _start(folder: Path, port: int, children: list[Child]) -> RunningWordPress:
    socket = folder / "db.sock"
    children.append(_database(folder, socket))
    site = folder / "site"
    shutil.copytree(_PROGRAM, site)
    (site / "wp-content" / "uploads").mkdir()
    url = f"http://{HOST}:{port}"
    (site / "wp-config.php").unlink()
    (site / "wp-config.php").write_text(_CONFIG % {"socket": socket, "url": url}, encoding="utf-8")
    wait_until(
        lambda: _sql(socket, "SELECT 1").returncode == 0,
        children=children,
        timeout=START_SECONDS,
        what="MariaDB",
    )
    _sql(socket, "CREATE DATABASE wordpress CHARACTER SET utf8mb4", check=True)
    (folder / "install.php").write_text(_INSTALL, encoding="utf-8")
    installed = _run("php", str(folder / "install.php"), str(site), f"{HOST}:{port}", USER)
    password = installed.stderr.rpartition("password=")[2].strip()
    if installed.returncode or not password:
        raise processes.LocalServiceError(f"WordPress could not be installed: {installed.stderr[-2000:]}")
    server = _server(folder, site, port)
    children.append(server)
    wait_until(
        lambda: server.serves(lambda: _answers(url)),
        children=children[::-1],
        timeout=START_SECONDS,
        what="WordPress",
    )
    return RunningWordPress(url, USER, password, site)


def _database(folder: Path, socket: Path) -> Child:
    data = folder / "db"
    user = ["--user=root"] if os.getuid() == 0 else []
    made = _run(
        "mariadb-install-db",
        "--no-defaults",
        *user,
        f"--datadir={data}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
    )
    if made.returncode:
        raise processes.LocalServiceError(f"MariaDB's data folder could not be made: {made.stderr[-2000:]}")
    command = [
        _tool("mariadbd"),
        "--no-defaults",
        *user,
        f"--datadir={data}",
        f"--socket={socket}",
        f"--pid-file={folder / 'db.pid'}",
        "--skip-networking",
        # Nothing here outlives the test.
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=64M",
    ]
    return spawn("mariadb", command, env=_environment(), log=folder / "db.log", cwd=folder)


def _server(folder: Path, site: Path, port: int) -> Child:
    (folder / "router.php").write_text(_ROUTER, encoding="utf-8")
    command = [
        _tool("php"),
        *("-d", "upload_max_filesize=32M", "-d", "post_max_size=33M", "-d", "memory_limit=256M"),
        *("-S", f"{HOST}:{port}", "-t", str(site), str(folder / "router.php")),
    ]
    # Interrupted together, as in a terminal, the workers end and the master sees them off.
    return spawn(
        "wordpress",
        command,
        env=_environment(PHP_CLI_SERVER_WORKERS="4"),
        log=folder / "php.log",
        cwd=site,
        stop_signal=signal.SIGINT,
        ask_all=True,
        port=port,
    )


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/wp-json/", timeout=10).is_success
    except httpx.HTTPError:
        return False


def _sql(socket: Path, statement: str, *, check: bool = False) -> subprocess.CompletedProcess[str]:
    return _run("mariadb", "--no-defaults", f"--socket={socket}", "-uroot", "-e", statement, check=check)


def _run(tool: str, *arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_tool(tool), *arguments],
        env=_environment(),
        capture_output=True,
        text=True,
        check=check,
        timeout=START_SECONDS,
    )


def _tool(name: str) -> str:
    return shutil.which(name, path=_PATH) or name


def _environment(**more: str) -> Mapping[str, str]:
    return {**os.environ, "PATH": _PATH, **more}
