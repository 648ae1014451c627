"""The folder is the boundary: Airflow stays in orchestration, and dependencies point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import pressroom

PACKAGE = Path(pressroom.__file__).parent
DEVELOPMENT = PACKAGE.parent / "pressroom_dev"
WITH_AIRFLOW = ("orchestration/",)
FILES_IN_A_FOLDER = 20

# room → the other rooms that it may know. README shows the same picture.
KNOWS = {
    "domain": set(),
    "settings": {"domain"},
    "store": {"domain"},
    "bounded": {"domain"},
    "adapters": {"domain", "bounded"},
    "pipelines": {"domain", "store", "bounded"},
    "engine": {"domain", "store", "pipelines"},
    "ui": {"domain", "store", "pipelines"},
    "definitions": {"domain", "bounded", "store", "pipelines", "engine", "adapters"},
    "testing": {"domain", "pipelines", "adapters", "testing_flows"},
    "testing_flows": {"domain", "pipelines", "adapters"},
    "api": {"domain", "store", "pipelines", "engine", "adapters", "definitions", "ui"},
    "page": {"domain", "store", "pipelines", "engine", "adapters", "definitions", "api", "ui"},
    "cli": {"domain", "settings", "store", "pipelines", "engine", "adapters", "definitions", "ui"},
    "orchestration": {"domain", "settings", "store", "pipelines", "engine", "adapters", "definitions", "api"},
}
# A side of the outside knows none of the others: only what all of them stand on.
SHARED_BY_ADAPTERS = {"http", "connection", "whole_files"}

BLOCKED_IMPORTS = """
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "airflow":
            raise ImportError("airflow is blocked")

sys.meta_path.insert(0, Blocked())
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        sys.exit(f"{name}: {type(error).__name__}: {error}")
assert not any(name.partition(".")[0] == "airflow" for name in sys.modules)
"""


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    return relative(path).split("/")[0].removesuffix(".py")


def module(path: Path) -> str:
    parts = ["pressroom", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def parts_known(path: Path, depth: int) -> set[str]:
    """The parts of the package, ``depth`` names down, that a file imports."""
    names = [name.split(".") for name in imported(path) if name.startswith("pressroom.")]
    return {parts[depth] for parts in names if len(parts) > depth}


def test_everything_else_runs_without_airflow() -> None:
    names = [module(path) for path in sources() if not relative(path).startswith(WITH_AIRFLOW)]
    assert "pressroom.cli" in names
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED_IMPORTS, *names],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(PACKAGE.parent), "PATH": "/usr/bin:/bin"},
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("room", KNOWS)
def test_a_room_knows_only_the_rooms_below_it(room: str) -> None:
    files = [path for path in sources() if room_of(path) == room]
    assert files
    wrong = {
        relative(path): unknown for path in files if (unknown := parts_known(path, 1) - KNOWS[room] - {room})
    }
    assert wrong == {}


def test_every_room_is_in_the_picture() -> None:
    assert {room_of(path) for path in sources()} - {"__init__"} == set(KNOWS)


def test_only_orchestration_imports_airflow() -> None:
    with_airflow = [
        relative(path)
        for path in sources()
        if any(name.partition(".")[0] == "airflow" for name in imported(path))
    ]
    assert with_airflow
    assert all(name.startswith(WITH_AIRFLOW) for name in with_airflow)


def test_the_package_knows_no_development_tool() -> None:
    using = [path for path in sources() if any(name.startswith("pressroom_dev") for name in imported(path))]
    assert using == []


def test_the_simulator_knows_nothing_of_the_package() -> None:
    """It stands in for the outside: what it shared with an adapter, no test of that adapter could find."""
    for path in (DEVELOPMENT / "simulator").rglob("*.py"):
        names = {name for name in imported(path) if name.startswith("pressroom")}
        assert {".".join(name.split(".")[:2]) for name in names} <= {
            "pressroom.domain",
            "pressroom_dev.simulator",
        }


@pytest.mark.parametrize(
    "side", sorted(path.name for path in (PACKAGE / "adapters").iterdir() if (path / "__init__.py").exists())
)
def test_a_side_of_the_outside_knows_no_other(side: str) -> None:
    for path in (PACKAGE / "adapters" / side).rglob("*.py"):
        names = {name for name in imported(path) if name.startswith("pressroom.adapters.")}
        assert {name.split(".")[2] for name in names} - SHARED_BY_ADAPTERS - {side} == set(), relative(path)


def test_every_call_of_a_service_goes_through_its_one_client() -> None:
    """Bounds and the table of errors are there; Airflow's two clients use the same table."""
    making = [
        relative(path)
        for path in sources()
        if any(name in path.read_text("utf-8") for name in ("httpx.AsyncClient(", "httpx.Client("))
    ]
    own = ["adapters/airflow_api.py", "adapters/http/service.py", "orchestration/server/airflow.py"]
    assert making == own


def test_a_folder_can_be_taken_in_at_one_sitting() -> None:
    counts = Counter(path.parent for root in (PACKAGE, DEVELOPMENT) for path in root.rglob("*.py"))
    assert {folder: files for folder, files in counts.items() if files > FILES_IN_A_FOLDER} == {}
