"""The folder is the boundary: Airflow stays in orchestration, and dependencies point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pressroom

PACKAGE = Path(pressroom.__file__).parent
WITH_AIRFLOW = ("orchestration/",)
OTHERS = {
    "definitions",
    "pipelines",
    "store",
    "adapters",
    "engine",
    "orchestration",
    "api",
    "cli",
    "ui",
    "local",
    "simulator",
}
# room → the rooms it must not know
FORBIDDEN = {
    "domain": OTHERS | {"settings"},
    "settings": OTHERS,
    "store": OTHERS - {"store"},
    "pipelines": {"adapters", "engine", "orchestration", "api", "cli", "ui", "local", "simulator"},
    "adapters": {"pipelines", "engine", "orchestration", "api", "cli", "ui", "local", "simulator"},
    "definitions": {"orchestration", "api", "cli", "ui", "local"},
    "engine": {"orchestration", "api", "cli", "ui", "local", "simulator"},
    "ui": {"orchestration", "cli", "local"},
    "api": {"orchestration", "cli", "local"},
    "cli": {"orchestration"},
    "local": {"orchestration", "api", "cli"},
    # It stands in for the outside, so nothing that talks to the outside may know it.
    "simulator": OTHERS - {"simulator"},
}  # fmt: skip

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


def module(path: Path) -> str:
    parts = ["pressroom", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


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


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_dependencies_point_one_way(path: Path) -> None:
    room = relative(path).split("/")[0].removesuffix(".py")
    known = {name.split(".")[1] for name in imported(path) if name.startswith("pressroom.")}
    assert not known & FORBIDDEN.get(room, set())
    if not relative(path).startswith(WITH_AIRFLOW):
        assert not {name for name in imported(path) if name.partition(".")[0] == "airflow"}
