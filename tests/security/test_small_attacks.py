"""Links out of a folder, webhooks of no flow, forms of many fields, schedules that never fire, conditions."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pressroom.adapters.conditions.evaluate import compile as read_condition
from pressroom.domain.errors import ConfigurationError, PermanentError
from pressroom.domain.fetching import FilesFetch
from tests.integration.test_hooks import Hooks, hooks
from tests.support.airflow_library import airflow_as_library
from tests.support.control_world import Control

with airflow_as_library():
    from pressroom.orchestration.tools.files import file_source

__all__ = ["hooks"]

MANY = "&".join(f"field{number}=x" for number in range(50))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A permitted folder, with what another account must not read beside it."""
    monkeypatch.setattr("airflow.settings.PLUGINS_FOLDER", str(tmp_path / "plugins"))
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "keys.json").write_text('{"title": "Keys"}')
    folder = tmp_path / "root" / "drafts"
    folder.mkdir(parents=True)
    (folder / "own.txt").write_text("own")
    (folder / "again.txt").symlink_to("own.txt")
    (folder / "stolen.json").symlink_to(tmp_path / "secret" / "keys.json")
    (folder / "deep").symlink_to(tmp_path / "secret")
    (folder / "relative.json").symlink_to("../../secret/keys.json")
    (tmp_path / "root" / "out").symlink_to(tmp_path / "secret")
    return tmp_path / "root"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_link_leads_out_of_no_permitted_folder(root: Path, scheme: str) -> None:
    files = file_source(
        FilesFetch(type="files", path=f"{scheme}{root}/drafts"), permitted=[f"{scheme}{root}"]
    )
    assert {entry.name for entry in files.entries()} == {"own.txt", "again.txt"}
    assert files.read("again.txt", 10) == b"own"
    for name in ("stolen.json", "relative.json", "deep/keys.json", "../../secret/keys.json"):
        with pytest.raises(PermanentError, match="leads out"):
            files.read(name, 10)


def test_nor_does_the_folder_itself(root: Path) -> None:
    with pytest.raises(ConfigurationError, match="a link on the way leads out"):
        file_source(FilesFetch(type="files", path=f"{root}/out"), permitted=[str(root)])


def test_the_permitted_folder_may_be_a_link(root: Path) -> None:
    """The operator chose it."""
    named = root.parent / "named"
    named.symlink_to(root)
    files = file_source(FilesFetch(type="files", path=f"{named}/drafts"), permitted=[str(named)])
    assert files.read("own.txt", 10) == b"own"
    assert {entry.name for entry in files.entries()} == {"own.txt", "again.txt"}


@pytest.mark.integration
async def test_a_webhook_of_no_flow_compares_no_slugs(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 4,000 flows a call cost 0.3 s of CPU, without any login."""

    def never(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a stranger's word is compared with every slug")

    monkeypatch.setattr(difflib, "get_close_matches", never)
    assert (await hooks.send(to="inbax")).status_code == 401


@pytest.mark.integration
@pytest.mark.parametrize("path", ["/approvals/1", "/approvals/1/token"])
async def test_a_form_of_too_many_fields_is_refused(hooks: Hooks, path: str) -> None:
    answer = await hooks.client.post(
        path, content=MANY, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (answer.status_code, "fields" in answer.text) == (400, True)


@pytest.mark.integration
@pytest.mark.parametrize("cron", ["0 0 31 2 *", "0 0 30 2 *", "not a cron"])
async def test_a_schedule_in_the_database_that_never_fires_is_named(control: Control, cron: str) -> None:
    control.world.sql("UPDATE automation_configs SET enabled = true, cron = %s", cron)
    answer = await control("GET", "/automation/config", params={"site_id": 1})
    assert 400 <= answer.status_code < 500, answer.text
    assert "cron" in answer.text
    assert cron in answer.text


TEXT = {"item": {"text": "x" * 100_000, "tags": ["a"] * 10_000}, "packets": [{"n": 1}] * 3_000}
COSTLY = [
    "packets.map(p, packets.map(q, item.text + item.text)) == []",
    "packets.all(p, item.tags.all(t, t in item.tags))",
    "packets.map(p, item.tags + []) == packets.map(p, item.tags + [])",
    "item.tags.all(t, item.text.matches('(x+x+)+y') == false)",
]


@pytest.mark.parametrize("text", COSTLY)
def test_a_condition_has_its_bounds_in_itself(text: str) -> None:
    variables: dict[str, Any] = dict(TEXT)
    with pytest.raises(PermanentError, match=r"takes too long|longer than"):
        read_condition(text).evaluate(variables)
