"""Connections, hosts, folders and assets belong: what is another account's does not exist for an account."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import yaml
from typer.testing import CliRunner

from pressroom.cli import app
from pressroom.definitions.applying import apply, write
from pressroom.definitions.loading import load
from pressroom.domain.definitions import Account, Grants
from pressroom.domain.errors import ConfigurationError, DefinitionError
from pressroom.domain.fetching import FilesFetch
from pressroom.domain.flows import PublishStep
from pressroom.domain.grants.access import Access, GrantKind
from pressroom.domain.kinds import KINDS, Workflow
from pressroom.orchestration.tools.connections import Connections
from pressroom.orchestration.tools.probe import verified
from pressroom.orchestration.tools.toolbox import Toolbox
from pressroom.pipelines.flow.publish import key_of
from pressroom.pipelines.registry import pipeline_of
from pressroom.store import grants
from pressroom.store.database import Store
from pressroom.store.workflows import all_accounts, workflow
from tests.support.control_world import Control
from tests.support.postgres import open_connection

pytestmark = pytest.mark.integration

OWN: dict[str, Any] = {"connections": ["pressroom_text", "pressroom_metricool", "own"]}
AI = {"name": "write", "type": "ai", "prompt": "Write"}
PING = {"name": "tell", "type": "ping", "connection": "own"}
FILES = {"type": "files", "path": "file:///data/demo"}

NAMING: dict[str, tuple[str, dict[str, Any], str]] = {
    "a site's model": ("Site", {"text": {"connection": "demos"}}, "text.connection"),
    "a site's target": (
        "Site", {"publish": {"targets": [{"to": "wordpress", "connection": "demos"}]}},
        "publish.targets[0].connection",
    ),
    "a default target": ("Site", {"publish": {"targets": [{"to": "wordpress"}]}}, "publish.targets[0].to"),
    "pictures": ("Site", {"images": {"provider": "openai", "connection": "demos"}}, "images.connection"),
    "embeddings": (
        "Site", {"embeddings": {"provider": "openai", "connection": "demos"}}, "embeddings.connection"
    ),
    "a mission": (
        "Mission", {"platforms": ["twitter"], "objectives": ["x"], "connection": "demos"}, "connection"
    ),
    "a mission's model": (
        "Mission", {"platforms": ["twitter"], "objectives": ["x"], "text": {"connection": "demos"}},
        "text.connection",
    ),
    "a flow's model": ("Flow", {"steps": [AI], "text": {"connection": "demos"}}, "text.connection"),
    "a flow's target": (
        "Flow",
        {"steps": [{"name": "out", "type": "publish", "to": "x", "mode": "auto", "connection": "demos"}]},
        "steps[0].connection",
    ),
    "a ping": ("Flow", {"steps": [PING | {"connection": "demos"}]}, "steps[0].connection"),
    "a gate's notice": (
        "Flow", {"steps": [{"name": "ask", "type": "gate", "by": "approval", "notify": "demos"}]},
        "steps[0].notify",
    ),
    "a webhook": ("Flow", {"steps": [PING], "trigger": {"webhook": "demos"}}, "trigger.webhook"),
    "files through a connection": (
        "Flow",
        {"steps": [{"name": "get", "type": "fetch",
                    "source": FILES | {"path": "file:///data/own", "connection": "demos"}}]},
        "steps[0].source.connection",
    ),
    "files of another account": (
        "Flow", {"steps": [{"name": "get", "type": "fetch", "source": FILES}]}, "steps[0].source.path"
    ),
    "a connection in an address": (
        "Flow",
        {"steps": [{"name": "get", "type": "fetch", "source": FILES | {"path": "s3://demos@bucket/x"}}]},
        "steps[0].source.path",
    ),
    "a host": ("Flow", {"steps": [PING], "allow_hosts": ["intranet.demo:8080"]}, "allow_hosts[0]"),
    "an asset": ("Flow", {"steps": [PING], "trigger": {"asset": "s3://demo/done"}}, "trigger.asset"),
    "the asset of another account's site": (
        "Flow", {"steps": [PING], "trigger": {"asset": "pressroom://site/brew/approved"}}, "trigger.asset"
    ),
    "our own database": ("Flow", {"steps": [PING | {"connection": "pressroom_db"}]}, "steps[0].connection"),
}  # fmt: skip
OPTIONAL = ("steps[0].connection", "steps[0].notify")
"""Among these are pings and notices, without which a run goes on."""
WHAT = pytest.mark.parametrize(("kind", "body", "place"), list(NAMING.values()), ids=list(NAMING))


@pytest.fixture
def owned(control: Control) -> Control:
    """``demo`` has a connection ``demos``, a folder, a host and an asset; ``other`` its own ones."""
    demo = Grants(
        connections=["pressroom_text", "demos"], hosts=["intranet.demo:8080"], file_roots=["file:///data/demo"],
        assets=["s3://demo/done"],
    )  # fmt: skip
    other = Grants(**OWN, file_roots=["file:///data/own"])
    with control.world.store.transaction() as tx:
        grants.replace(tx, control.world.account_id, demo.names, "a test")
        grants.replace(tx, control.other.account_id, other.names, "a test")
    return control


def of_other(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    status = {"status": "active"} if kind == "Mission" else {}
    return {"kind": kind, "account": "other", "slug": "taker", "name": "Taker", **status, **body}


class InAirflow:
    """Airflow's connections: they all exist. ``asked``: those that were read."""

    def __init__(self, conn_type: str = "http", **extra: Any) -> None:
        self.asked: list[str] = []
        self.conn_type, self.extra = conn_type, extra
        variables = {"pressroom_file_roots": "file:///data", "pressroom_media_root": "media"}
        self.connections = Connections(self._read, variables.get, (KeyError,))

    def _read(self, name: str) -> Any:
        self.asked.append(name)
        return SimpleNamespace(
            host="http://127.0.0.1:9", schema=None, port=None, login="u", password="p",
            conn_type=self.conn_type, extra_dejson=self.extra,
        )  # fmt: skip


# Checking ---------------------------------------------------------------------------------------------


@WHAT
async def test_the_api_refuses_what_is_another_accounts(
    owned: Control, kind: str, body: dict[str, Any], place: str
) -> None:
    path = {"Site": "/sites", "Mission": "/missions", "Flow": "/flows"}[kind]
    data = {key: value for key, value in of_other(kind, body).items() if key not in ("kind", "account")}
    answer = await owned("POST", path, user="stella", params={"account": "other"}, json=data, expect=422)
    fields = {error["field"]: error["detail"] for error in answer.json()["errors"]}
    dotted = "body." + place.replace("[", ".").replace("]", "")
    assert "pressroom grant other" in fields[dotted]
    assert owned.world.sql("SELECT count(*) FROM workflows WHERE slug = 'taker'") == [(0,)]


@WHAT
def test_apply_refuses_what_is_another_accounts(
    owned: Control, tmp_path: Path, kind: str, body: dict[str, Any], place: str
) -> None:
    (tmp_path / "taker.yaml").write_text(yaml.safe_dump(of_other(kind, body)), encoding="utf-8")
    with pytest.raises(DefinitionError) as refusal:
        apply(owned.world.store, load(tmp_path))
    assert any(f"{place}: " in each and "pressroom grant other" in each for each in refusal.value.problems)
    assert owned.world.sql("SELECT count(*) FROM workflows WHERE slug = 'taker'") == [(0,)]


async def test_what_is_anothers_and_what_is_missing_read_alike(owned: Control) -> None:
    texts = []
    for name in ("demos", "nobody"):
        flow = {"slug": "taker", "name": "Taker", "steps": [PING | {"connection": name}]}
        where = {"account": "other"}
        answer = await owned("POST", "/flows", user="stella", params=where, json=flow, expect=422)
        texts.append(answer.text.replace(name, "…").replace(name.upper(), "…"))
    assert texts[0] == texts[1]
    refusals = []
    granted = Access("other").with_names(_names(["nobody"]))
    known: dict[str, Any] = {}
    for access, name in ((Access("other"), "demos"), (granted, "nobody")):
        nothing = Connections(known.__getitem__, known.get, (KeyError,)).of(access)
        with pytest.raises(ConfigurationError) as refusal:
            nothing.fields(name)
        refusals.append(str(refusal.value).replace(name, "…").replace(name.upper(), "…"))
    assert refusals[0] == refusals[1]


async def test_a_change_to_what_is_anothers_is_refused_and_a_pause_is_not(owned: Control) -> None:
    flow = {"slug": "taker", "name": "Taker", "steps": [PING]}
    made = await owned("POST", "/flows", user="stella", params={"account": "other"}, json=flow, expect=201)
    path = f"/flows/{made.json()['id']}"
    change = {"steps": [PING | {"connection": "demos"}]}
    await owned("PATCH", path, user="stella", json=change, expect=422)
    with owned.world.store.transaction() as tx:
        grants.take_back(tx, owned.other.account_id, _names(["own"]))
    await owned("PATCH", path, user="stella", json={"name": "Still on"}, expect=422)
    await owned("PATCH", path, user="stella", json={"status": "disabled"}, expect=200)
    await owned("PATCH", path, user="stella", json={"status": "active"}, expect=422)


# A run ------------------------------------------------------------------------------------------------


def stored(control: Control, kind: str, body: dict[str, Any]) -> Any:
    """The definition, put into the database by hand: as if it had been there before."""
    definition: Workflow = KINDS[kind].model.model_validate(of_other(kind, body))
    with control.world.store.transaction(control.other.account_id) as tx:
        write(tx, definition)
    with control.world.store.transaction() as tx:
        return workflow(tx, f"{KINDS[kind].word}/taker")


@WHAT
def test_a_run_is_refused_and_reads_nothing_of_another_account(
    owned: Control, kind: str, body: dict[str, Any], place: str
) -> None:
    row, airflow = stored(owned, kind, body), InAirflow()
    if place == "allow_hosts[0]":
        assert Toolbox(owned.world.store, row.run(), airflow.connections).connections.hosts() == []
        return
    part = "publish" if place.startswith("publish") else ""
    found = verified(owned.world.store, row.run(), [pipeline_of(row.workflow, part)], airflow.connections)
    texts = [each.text for each in found if each.problem or place in OPTIONAL]
    assert any("does not exist" in text or "pressroom grant other" in text for text in texts), found
    assert not {"demos", "pressroom_db", "pressroom_wordpress"} & set(airflow.asked)


def test_a_fallback_of_another_account_is_not_asked(owned: Control) -> None:
    row, airflow = stored(owned, "Flow", {"steps": [AI]}), InAirflow(model="m", fallback="demos")
    with pytest.raises(ConfigurationError, match=r"the fallback of connection .* grant other"):
        _ = Toolbox(owned.world.store, row.run(), airflow.connections).text
    assert airflow.asked == ["pressroom_text"]


def test_a_notice_of_another_accounts_receiver_is_not_sent(owned: Control) -> None:
    row, airflow = stored(owned, "Flow", {"steps": [PING]}), InAirflow()

    async def tell() -> None:
        async with Toolbox(owned.world.store, row.run(), airflow.connections) as box:
            await box.notify("demos", "ping", {})

    with pytest.raises(ConfigurationError, match="does not exist for the account other"):
        asyncio.run(tell())
    assert airflow.asked == []


def test_a_folder_is_read_below_the_grant_and_nowhere_else(owned: Control) -> None:
    row, airflow = stored(owned, "Flow", {"steps": [PING]}), InAirflow()
    box = Toolbox(owned.world.store, row.run(), airflow.connections)
    box.files(FilesFetch(type="files", path="file:///data/own/drafts"))
    for path in ("file:///data/demo", "file:///data", "file:///data/own/../demo", "file:///data/owner"):
        with pytest.raises(ConfigurationError, match="flows may not read"):
            box.files(FilesFetch(type="files", path=path))


def test_a_grant_that_is_taken_back_counts_for_a_run_that_is_on(owned: Control) -> None:
    store = owned.world.store
    row = stored(owned, "Flow", {"steps": [PING]})
    assert row.access.permits(GrantKind.CONNECTION, "own")
    with store.transaction() as tx:
        grants.take_back(tx, owned.other.account_id, _names(["own"]))
        assert not workflow(tx, "flow/taker").access.permits(GrantKind.CONNECTION, "own")


def test_the_password_of_a_webhook_only_and_of_an_own_one() -> None:
    own = Access("other", _names(["own"]))
    assert InAirflow("pressroom_webhook").connections.of(own).webhook_secret("own") == "p"
    with pytest.raises(ConfigurationError, match="needs the type pressroom_webhook"):
        InAirflow("wordpress").connections.of(own).webhook_secret("own")
    airflow = InAirflow("pressroom_webhook")
    with pytest.raises(ConfigurationError, match="does not exist for the account other"):
        airflow.connections.of(own).webhook_secret("demos")
    assert airflow.asked == []


# What is published ------------------------------------------------------------------------------------


def test_two_accounts_that_take_up_one_source_have_two_pieces() -> None:
    step = PublishStep.model_validate({"name": "out", "type": "publish", "to": "static_site"})
    assert key_of("demo", "source:1", step) != key_of("other", "source:1", step)


def publication(world: Any, content: str, target: str, external: str | None, status: str) -> int:
    [[run]] = world.sql(
        "INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, owner, status, lease_until)"
        " VALUES (%s, %s, 'd', %s, 'manual', 'ann', 'completed', now()) RETURNING id",
        world.account_id, world.site_id, f"{content}-{world.account_id}",
    )  # fmt: skip
    [[number]] = world.sql(
        "INSERT INTO publications (account_id, workflow_id, run_id, content, target, status, content_hash,"
        " scheduled_for, external_id) VALUES (%s, %s, %s, %s, %s, %s, 'h', now(), %s) RETURNING id",
        world.account_id, world.site_id, run, content, target, status, external,
    )  # fmt: skip
    return int(number)


async def test_what_another_account_has_put_there_is_not_settled_as_ones_own(owned: Control) -> None:
    publication(owned.world, "post:1", "posts/twitter", "77", "accepted")
    mine = publication(owned.other, "source:1", "posts/metricool", None, "unknown")
    body = {"sent": True, "external_id": "77"}
    answer = await owned("POST", f"/publications/pub_{mine}/settle", user="stella", json=body, expect=409)
    assert "post:1" not in answer.text
    assert "demo" not in answer.text
    assert owned.world.sql("SELECT status FROM publications WHERE id = %s", mine) == [("unknown",)]


# Operators --------------------------------------------------------------------------------------------


def run(database_url: str, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setenv("PRESSROOM_DATABASE_URL", database_url)
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result.output


def files(tmp_path: Path, *definitions: dict[str, Any]) -> Path:
    path = tmp_path / "definitions.yaml"
    path.write_text(yaml.safe_dump_all(definitions), encoding="utf-8")
    return path


ACME = {"kind": "Account", "slug": "acme", "name": "Acme"}
BETA = {"kind": "Account", "slug": "beta", "name": "Beta"}
BLOG = {"kind": "Site", "account": "acme", "slug": "blog", "name": "Blog", "text": {"connection": "acmes"}}
POND = {"kind": "Site", "account": "beta", "slug": "pond", "name": "Pond", "text": {"connection": "acmes"}}


def test_the_only_account_may_name_everything_until_there_is_another(store: Store, tmp_path: Path) -> None:
    apply(store, load(files(tmp_path, ACME, BLOG)))
    apply(store, load(files(tmp_path, BETA)))
    with store.transaction() as tx:
        access = {row.account.slug: grants.access(tx, row.account_id) for row in all_accounts(tx)}
    assert access["acme"].names == _names(["acmes"])
    assert access["beta"].names == frozenset()
    with pytest.raises(DefinitionError, match="pressroom grant beta --connection acmes"):
        apply(store, load(files(tmp_path, POND)))
    with pytest.raises(DefinitionError, match="pressroom grant acme --connection another"):
        apply(store, load(files(tmp_path, BLOG | {"text": {"connection": "another"}})))
    apply(store, load(files(tmp_path, BETA | {"grants": {"connections": ["acmes"]}}, POND)))
    assert apply(store, load(files(tmp_path, BETA, POND)))[0].action == "unchanged"  # they stay


def test_operators_grant_show_share_and_revoke(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    apply(store, load(files(tmp_path, ACME, BETA)))
    run(database_url, monkeypatch, "grant", "acme", "--connection", "a", "--host", "h:1", "--files", "/d")
    run(database_url, monkeypatch, "grant", "--every-account", "--connection", "common")
    shown = run(database_url, monkeypatch, "grants", "acme")
    assert all(word in shown for word in ("connection", "host", "h:1", "file_root", "common"))
    with store.transaction() as tx:
        access = {row.account.slug: grants.access(tx, row.account_id) for row in all_accounts(tx)}
    assert access["beta"].names == _names(["common"])
    assert access["acme"].permits(GrantKind.CONNECTION, "common")
    run(database_url, monkeypatch, "revoke", "acme", "--connection", "a")
    run(database_url, monkeypatch, "revoke", "--every-account", "--connection", "common")
    with store.transaction() as tx:
        left = {row.account.slug: grants.access(tx, row.account_id).names for row in all_accounts(tx)}
    assert left == {
        "acme": frozenset({(GrantKind.HOST, "h:1"), (GrantKind.FILE_ROOT, "/d")}), "beta": frozenset(),
    }  # fmt: skip
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT action FROM audit_log WHERE action ~ '(grant|revoke)'").fetchall()
    assert len(rows) == 6  # what is shared is on record with both


async def test_only_administrators_grant_over_the_api(owned: Control) -> None:
    where = {"account": "other"}
    body = {"kind": "connection", "name": "demos"}
    await owned("POST", "/grants", user="stella", params=where, json=body, expect=403)
    await owned("DELETE", "/grants", user="stella", params=where | body, expect=403)
    await owned("POST", "/grants", user="root", params=where, json={"kind": "connection"}, expect=422)
    made = await owned("POST", "/grants", user="root", params=where, json=body, expect=201)
    assert {(each["kind"], each["name"]) for each in made.json()} >= {("connection", "demos")}
    assert (await owned.get("/grants", user="stella", account="other")) == made.json()
    left = await owned("DELETE", "/grants", user="root", params=where | body, expect=200)
    assert "demos" not in json.dumps(left.json())
    assert {each["name"] for each in await owned.get("/grants", account="demo")} >= {"demos"}


def test_the_upgrade_grants_what_is_named_and_nothing_else(owned: Control) -> None:
    """The statement of the migration, on two accounts and their definitions."""
    stored(owned, "Flow", {"steps": [PING, AI], "trigger": {"webhook": "own"}, "allow_hosts": ["h:1"]})
    text = (Path(grants.__file__).parent / "migrations").glob("*_grants.sql")
    statement = next(text).read_text("utf-8").partition("INSERT INTO")[2].partition(";")[0]
    with open_connection(owned.world.url) as connection:
        connection.execute("DELETE FROM grants")
        connection.execute(f"INSERT INTO{statement}")  # our own file
    with owned.world.store.transaction() as tx:
        assert grants.access(tx, owned.other.account_id).names == _names(["own", "pressroom_text"]) | {
            (GrantKind.HOST, "h:1")
        }
        assert grants.access(tx, owned.world.account_id).names == _names(["pressroom_text"])


def test_an_account_is_read_with_its_grants_and_stored_without(owned: Control) -> None:
    with owned.world.store.transaction() as tx:
        [demo] = [row.account for row in all_accounts(tx) if row.account.slug == "demo"]
    assert isinstance(demo, Account)
    assert demo.grants is not None
    assert demo.grants.hosts == ["intranet.demo:8080"]


def _names(connections: list[str]) -> frozenset[Any]:
    return Grants(connections=connections).names
