"""PRESSROOM_NO_SKIPS=1 turns every skip into a failure, in one process and in several."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFTEST = ROOT / "tests" / "conftest.py"
TESTS = """
import pytest

def test_passes(): pass
def test_skips(): pytest.skip("no network")
@pytest.mark.skip(reason="later")
def test_is_marked(): pass
@pytest.mark.skipif(True, reason="here")
def test_is_marked_on_a_condition(): pass
@pytest.mark.xfail(strict=True)
def test_fails_as_expected(): assert False
"""
MODULE = 'import pytest\npytest.skip("not here", allow_module_level=True)\n'


@pytest.mark.parametrize("processes", [(), ("-p", "xdist", "-n", "2", "--dist", "loadgroup")])
@pytest.mark.parametrize(
    ("setting", "code", "summary"),
    [
        # A skip by a mark comes before the test and so counts as an error.
        ("1", 1, "1 failed, 1 passed, 1 xfailed, 3 errors in"),
        ("", 0, "1 passed, 4 skipped, 1 xfailed in"),
    ],
)
def test_a_skip_fails_where_nothing_may_be_skipped(
    tmp_path: Path, setting: str, code: int, summary: str, processes: tuple[str, ...]
) -> None:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_a.py").write_text(TESTS)
    (tmp_path / "test_b.py").write_text(MODULE)
    # None of the plugins that are installed: to load them takes longer than the tests.
    path = os.pathsep.join([str(ROOT), str(ROOT / "include")])
    alone = {"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": path}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *processes, "-q", "--continue-on-collection-errors"],
        cwd=tmp_path,
        env={**os.environ, **alone, "PRESSROOM_NO_SKIPS": setting},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code, ran.stdout
    assert ran.stdout.strip().splitlines()[-1].startswith(summary)
    assert ran.stdout.count("E   not allowed") + ran.stdout.count("\nnot allowed with") == 4 * code
