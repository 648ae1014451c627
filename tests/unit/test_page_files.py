"""The files that the page serves: the libraries are what they were, and nothing comes from elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from pressroom.page.kit.pages import FOLDER, STATIC, amount, asset_query, moment, money, plural, span

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts/vendor"


def check(script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script, "check"], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_libraries_are_what_their_list_says() -> None:
    done = check(SCRIPT)
    assert done.returncode == 0, done.stderr
    for package in json.loads((STATIC / "vendor/vendor.json").read_text("utf-8")):
        assert package["licence"] in ("0BSD", "MIT")
        assert any(name.endswith(".LICENSE.txt") for name in package["files"])


@pytest.mark.parametrize("harm", ["changed", "missing", "unknown"])
def test_another_file_is_found(tmp_path: Path, harm: str) -> None:
    (tmp_path / "scripts").mkdir()
    script = Path(shutil.copy(SCRIPT, tmp_path / "scripts/vendor"))
    vendor = tmp_path / "include/pressroom/page/static/vendor"
    shutil.copytree(STATIC / "vendor", vendor)
    if harm == "changed":
        (vendor / "htmx.js").write_bytes(b"alert(1)")
    elif harm == "missing":
        (vendor / "htmx.js").unlink()
    else:
        (vendor / "more.js").write_bytes(b"")
    done = check(script)
    assert done.returncode == 1
    assert ("more.js" if harm == "unknown" else "htmx.js") in done.stderr


def test_no_template_marks_text_as_safe_or_brings_a_script_of_its_own() -> None:
    own = r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son(click|load|error|change)="
    for path in (FOLDER / "templates").glob("*.j2"):
        text = path.read_text("utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape", text), path.name
        assert not re.search(own, text), path.name
        assert "//" not in re.sub(r"\{#.*?#\}", "", text).replace("://", ""), path.name


def test_the_address_of_a_file_changes_with_it() -> None:
    assert re.fullmatch(r"/static/page\.css\?v=[0-9a-f]{12}", asset_query("page.css"))
    assert asset_query("page.js") != asset_query("theme.js")


def test_amounts_spans_and_times_are_for_people() -> None:
    assert (amount(Decimal("1200.00")), amount(Decimal("0.5")), amount(None)) == ("1,200", "0.50", "0")
    assert (money(Decimal("0.1234")), money(12345), money(None)) == ("0.12 ¢", "12,345 ¢", "0 ¢")
    assert [span(each) for each in (None, 0, 59.4, 61, 3 * 3600 + 125)] == [
        "–", "0 s", "59 s", "1 min 01 s", "3 h 02 min",
    ]  # fmt: skip
    assert (plural(1, "piece"), plural(1000, "piece")) == ("1 piece", "1,000 pieces")
    at = datetime(2026, 3, 1, 9, 5, tzinfo=UTC)
    shown = str(moment(at, 'x"><script>'))
    assert shown.startswith(
        '<time datetime="2026-03-01T09:05:00+00:00" data-zone="x&#34;&gt;&lt;script&gt;">'
    )
    assert shown.endswith(">1 Mar 09:05 UTC</time>")
