"""What is installed is what was locked, by hash, wherever it comes from; the base tools are locked, too."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("constraints.txt", "requirements.lock", "requirements-model.txt")
FIXED = {"pip": "23.3", "setuptools": "78.1.1"}
"""The first versions without CVE-2023-5752, and without CVE-2022-40897, CVE-2024-6345 and CVE-2025-47273."""


def locked(file: str) -> dict[str, tuple[str, int]]:
    """Package → (version, number of hashes) of a lock."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / file).read_text("utf-8"), flags=re.M)
    packages = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        head = re.match(r"([a-z0-9.-]+)==([^ ;\\]+)", entry)
        assert head is not None, f"{file}: {entry[:80]!r} is not pinned"
        packages[head[1]] = (head[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry)))
    return packages


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


@pytest.mark.parametrize("file", LOCKS)
def test_everything_that_is_installed_is_locked_by_hash(file: str) -> None:
    packages = locked(file)
    assert packages
    assert [name for name, (_, hashes) in packages.items() if not hashes] == []


def test_an_image_holds_the_versions_that_are_tested() -> None:
    tested, image = locked("constraints.txt"), locked("requirements.lock")
    assert {name: version for name, (version, _) in image.items()}.items() <= {
        name: version for name, (version, _) in tested.items()
    }.items()
    assert "pytest" not in image


def test_base_tools_are_locked_at_versions_without_known_vulnerabilities() -> None:
    packages = locked("constraints.txt")
    assert {"uv", *FIXED} <= set(packages)
    for name, version in FIXED.items():
        assert numbers(packages[name][0]) >= numbers(version)
        assert metadata.version(name) == packages[name][0]


@pytest.mark.parametrize("file", ["scripts/setup", "Dockerfile"])
def test_nothing_is_installed_that_is_not_locked(file: str) -> None:
    text = (ROOT / file).read_text("utf-8").replace("\\\n", " ")
    text = text.replace('"${install[@]}"', "pip install")
    calls = re.findall(r"pip install .*", "\n".join(line for line in text.splitlines() if "=(" not in line))
    assert len(calls) >= 2
    for call in calls:
        assert "--require-hashes" in call or "--no-deps --no-build-isolation --editable ." in call, call


def test_no_file_says_where_packages_come_from() -> None:
    scripts = [f"scripts/{each.name}" for each in (ROOT / "scripts").iterdir()]
    files = [
        *LOCKS, *scripts, "requirements.txt", "requirements-dev.txt", "requirements-build.txt", "Dockerfile",
        "Makefile", "pyproject.toml",
    ]  # fmt: skip
    for file in files:
        text = (ROOT / file).read_text("utf-8")
        assert not re.search(r"--(extra-)?index-url|--find-links[ =]|https?://[^ ]*(pypi|simple)", text), file
    for file in LOCKS:
        assert "://" not in (ROOT / file).read_text("utf-8")


# make audit -------------------------------------------------------------------------------------------------


def package(name: str, *vulnerabilities: str) -> dict[str, Any]:
    found = [{"id": each, "fix_versions": ["2.0"]} for each in vulnerabilities]
    return {"name": name, "version": "1.0", "vulns": found}


def lacking(name: str) -> dict[str, Any]:
    return {"name": name, "skip_reason": "not found"}


def audited(tmp_path: Path, packages: Sequence[dict[str, Any]] | None) -> tuple[int, str, str]:
    """(exit code, output, errors) of the audit when pip-audit reports this; None: it cannot connect."""
    report = None if packages is None else json.dumps({"dependencies": list(packages), "fixes": []})
    tool = tmp_path / "pip-audit"
    tool.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f"report = {report!r}\n"
        "if report is None:\n"
        "    sys.exit('ERROR: Connection refused')\n"
        "assert '--require-hashes' in sys.argv\n"
        "open(sys.argv[sys.argv.index('--output') + 1], 'w').write(report)\n",
        encoding="utf-8",
    )
    tool.chmod(0o755)
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "audit"], env={"PIP_AUDIT": str(tool)},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_an_audit_lists_what_is_known(tmp_path: Path) -> None:
    code, said, _ = audited(tmp_path, [package("sound"), package("broken", "CVE-1", "CVE-2")])
    assert code == 1
    assert said.splitlines() == [
        "broken 1.0: CVE-1, mended in 2.0",
        "broken 1.0: CVE-2, mended in 2.0",
        "audit: 2 packages, 2 known vulnerabilities",
    ]


def test_an_audit_that_finds_nothing(tmp_path: Path) -> None:
    assert audited(tmp_path, [package("sound")])[0] == 0


@pytest.mark.parametrize("packages", [None, [lacking("a"), lacking("b")]], ids=["no network", "no database"])
def test_an_audit_without_the_database_says_so_in_one_sentence(
    tmp_path: Path, packages: list[dict[str, Any]] | None
) -> None:
    code, said, error = audited(tmp_path, packages)
    assert (code, said) == (3, "")
    assert error == "audit: the database of vulnerabilities could not be reached, so nothing is known.\n"


def test_what_the_database_lacks_is_not_called_sound(tmp_path: Path) -> None:
    code, _, error = audited(tmp_path, [package("sound"), lacking("odd")])
    assert code == 3
    assert error == "audit: the database has nothing on odd.\n"


def test_without_the_tool_nothing_is_known() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "audit"], env={"PIP_AUDIT": "/nowhere"}, capture_output=True
    )  # fmt: skip
    assert done.returncode == 3


def test_nothing_that_is_deployed_needs_setuptools() -> None:
    # It builds packages. Python 3.12 brings none, and its later versions have no pkg_resources.
    code = (
        "import sys; sys.modules['pkg_resources'] = None; sys.modules['setuptools'] = None\n"
        "from pressroom.domain.markup.weighted import parse_tweet\n"
        "assert sys.modules['pkg_resources'] is None\n"
        "print(parse_tweet('Grüße \\U0001f44d\\U0001f3fd').weightedLength)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "include")
    assert (done.stdout.strip(), done.stderr) == ("8", "")
