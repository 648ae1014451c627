"""The commands on a site's articles, against a real database and a transport in Airflow's place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from pressroom.cli import app
from pressroom.domain.definitions import Account, Site
from pressroom.store.database import Store
from pressroom.store.workflows import workflow
from tests.support.press import add_articles
from tests.support.world import World

pytestmark = pytest.mark.integration

DEFINITIONS = (
    "kind: Account\nslug: acme\nname: Acme\n---\n"
    "kind: Site\naccount: acme\nslug: garden\nname: Garden\npublish: {targets: [{to: wordpress}]}\n---\n"
    "kind: Site\naccount: acme\nslug: shed\nname: Shed\n"
)
URI = "pressroom://site/garden/approved"
Invoke = Callable[..., Result]


class FakeAirflow:
    """Answers as Airflow's REST API does. ``away``: not at all."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.triggered: list[str] = []
        self.taken_back: list[str] = []
        self.kept: list[str] = []
        self.away = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if self.away:
            raise httpx.ConnectError("refused")
        if path == "/auth/token":
            return httpx.Response(201, json={"access_token": "t"})
        if (request.method, path) == ("GET", "/api/v2/assets"):
            return httpx.Response(200, json={"assets": [{"id": 5, "uri": URI}], "total_entries": 1})
        if path == "/api/v2/assets/events":
            self.events.append(json.loads(request.content))
            return httpx.Response(200, json={})
        if path.startswith("/pressroom/api/v1/publications/"):
            assert request.method == "POST"
            assert request.headers["Authorization"] == "Bearer t"
            name = path.split("/")[5]
            if name in self.kept:
                return httpx.Response(409, json={"detail": "it stays there"})
            self.taken_back.append(name)
            return httpx.Response(200, json={"id": name, "status": "withdrawn"})
        if path == "/api/v2/dags/site__garden__publish/dagRuns":
            self.triggered.append(json.loads(request.content)["dag_run_id"])
            return httpx.Response(200, json={"dag_run_id": self.triggered[-1]})
        if path == "/api/v2/dags/site__garden__publish":
            return httpx.Response(200, json={})
        return httpx.Response(404, json={"detail": "no"})


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> FakeAirflow:
    fake, real = FakeAirflow(), httpx.Client

    def client(**options: object) -> httpx.Client:
        return real(**(options | {"transport": httpx.MockTransport(fake)}))  # type: ignore[arg-type]

    monkeypatch.setattr(httpx, "Client", client)
    monkeypatch.setenv("PRESSROOM_AIRFLOW_URL", "http://airflow.example")
    monkeypatch.setenv("PRESSROOM_AIRFLOW_USER", "ann")
    monkeypatch.setenv("PRESSROOM_AIRFLOW_PASSWORD", "hunter2")
    return fake


@pytest.fixture
def invoke(
    airflow: FakeAirflow, store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Invoke:
    """Runs a command on the applied definitions, and checks its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRESSROOM_DATABASE_URL", database_url)

    def call(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == code, result.output
        return result

    (tmp_path / "a.yaml").write_text(DEFINITIONS)
    call("apply", "-f", "a.yaml")
    return call


@pytest.fixture
def ids(invoke: Invoke, store: Store, database_url: str) -> list[int]:
    """Two articles of the garden that wait for review."""
    with store.transaction() as tx:
        row = workflow(tx, "site/garden")
    assert isinstance(row.workflow, Site)
    account = Account(slug="acme", name="Acme")
    world = World(database_url, store, account, row.workflow, row.account_id, row.workflow_id)
    return add_articles(world, 2)


def test_approving_publishes(invoke: Invoke, ids: list[int], airflow: FakeAirflow) -> None:
    assert "Article 0001" in invoke("articles", "garden", "--status", "review").output
    assert invoke("approve-article", "garden", ids[0]).output == "1 article approved\npublishing starts\n"
    assert airflow.events == [{"asset_id": 5, "extra": {}}]
    assert "Article 0001" not in invoke("articles", "garden", "--status", "review").output
    assert invoke("approve-article", "garden", "--all").output.startswith("1 article approved\n")
    assert len(invoke("articles", "garden", "--status", "approved").output.splitlines()) == 3


def test_without_airflow_the_approval_stands(invoke: Invoke, ids: list[int], airflow: FakeAirflow) -> None:
    airflow.away = True
    result = invoke("approve-article", "garden", "--all")
    assert "2 articles approved" in result.output
    assert "not published yet: Airflow at airflow.example" in result.output
    assert len(invoke("articles", "garden", "--status", "approved").output.splitlines()) == 3


def test_rejecting_says_why(invoke: Invoke, ids: list[int]) -> None:
    assert (
        invoke("reject-article", "garden", ids[0], "--reason", "thin").output
        == f"article {ids[0]} rejected\n"
    )
    assert ": thin" in invoke("articles", "garden", "--status", "rejected").output
    assert "has no article 999" in invoke("reject-article", "garden", 999, "--reason", "x", code=1).output


def test_editing_voids_the_approval(invoke: Invoke, ids: list[int], tmp_path: Path) -> None:
    invoke("approve-article", "garden", ids[0])
    (tmp_path / "new.html").write_text("<p>Something new.</p>", "utf-8")
    words = ["--title", "Another title", "--html", tmp_path / "new.html"]
    assert invoke("edit-article", "garden", ids[0], *words).output == (
        f"article {ids[0]} edited: it waits for review\n"
    )
    listed = invoke("articles", "garden", "--status", "review").output
    assert "Another title" in listed
    assert "edited by" in listed
    assert "say what is to change" in invoke("edit-article", "garden", ids[0], code=2).output
    (tmp_path / "odd.html").write_bytes(b"\xff")
    for name in ("odd.html", "none.html"):
        output = invoke("edit-article", "garden", ids[0], "--html", tmp_path / name, code=1).output
        assert "cannot be read as text" in output


def test_publish_starts_the_sites_second_dag(invoke: Invoke, airflow: FakeAirflow) -> None:
    output = invoke("publish", "garden").output
    [run] = airflow.triggered
    assert output == f"started site__garden__publish {run}\n"
    assert "shed has no targets" in invoke("publish", "shed", code=1).output


def test_what_failed_on_a_target_can_be_tried_again(invoke: Invoke) -> None:
    assert invoke("retry-failed", "garden", "--stage", "publish").output == "0 failed items wait again\n"


@pytest.mark.parametrize("words", [[], ["1", "--all"]], ids=["neither", "both"])
def test_approving_takes_articles_or_all(invoke: Invoke, words: list[str]) -> None:
    assert "name articles, or --all" in invoke("approve-article", "garden", *words, code=2).output


def test_an_unknown_status(invoke: Invoke) -> None:
    assert (
        "review, approved, rejected, published"
        in invoke("articles", "garden", "--status", "x", code=1).output
    )


# Taking back ------------------------------------------------------------------------------------------


@pytest.fixture
def published(ids: list[int], store: Store, database_url: str) -> list[int]:
    """Publications of the garden: two that the target has, and one that failed."""
    with store.transaction() as tx:
        row = workflow(tx, "site/garden")
    assert isinstance(row.workflow, Site)
    account = Account(slug="acme", name="Acme")
    world = World(database_url, store, account, row.workflow, row.account_id, row.workflow_id)
    run = world.run("publish__1")
    return [
        number
        for (number,) in world.sql(
            "INSERT INTO publications (account_id, workflow_id, run_id, content, target, status,"
            " content_hash, scheduled_for, external_id) SELECT %s, %s, %s, 'article:' || n,"
            " 'pressroom_wordpress/wordpress', CASE n WHEN 3 THEN 'failed' ELSE 'accepted' END, 'h', now(),"
            " 'x' || n FROM generate_series(1, 3) AS n RETURNING id",
            world.account_id, world.site_id, run.id,
        )
    ]  # fmt: skip


def test_publications_are_taken_back(invoke: Invoke, published: list[int], airflow: FakeAirflow) -> None:
    first, second, _ = published
    told = invoke("unpublish", "garden", first).output
    assert told == f"publication {first} is taken back: article:1 on pressroom_wordpress/wordpress\n"
    assert airflow.taken_back == [f"pub_{first}"]
    airflow.kept = [f"pub_{first}"]
    told = invoke("unpublish", "garden", "--all", code=1).output
    assert f"publication {first} is still there: " in told
    assert "it stays there" in told
    assert airflow.taken_back[1:] == [f"pub_{second}"]


def test_which_ones_must_be_said(invoke: Invoke, published: list[int], airflow: FakeAirflow) -> None:
    assert "name publications, or --all" in invoke("unpublish", "garden", code=2).output
    invoke("unpublish", "garden", published[0], "--all", code=2)
    assert "has no publication 999" in invoke("unpublish", "garden", 999, code=1).output
    assert airflow.taken_back == []


def test_a_review_by_public_ids(invoke: Invoke, airflow: FakeAirflow, ids: list[int], store: Store) -> None:
    first, second = (f"art_{number}" for number in ids)
    listed = invoke("review", "list", "acme").output
    assert first in listed
    assert "Garden" in listed
    assert "of 100" in invoke("review", "show", first).output
    assert "no generated text is kept" in invoke("review", "diff", first).output
    invoke("edit-article", "garden", ids[0], "--title", "Another title")
    assert "{+" in invoke("review", "diff", first).output
    assert "approved" in invoke("review", "approve", first).output
    assert len(airflow.events) == 1
    assert "nothing was changed" in invoke("review", "diff", first, "--to", "approved").output
    invoke("review", "reject", second, code=2)
    invoke("review", "reject", second, "--reason", "Dull.")
    assert "version 2" in invoke("review", "again", second, "--guidance", "Shorter.").output
    assert "there is no art_999" in invoke("review", "show", "art_999", code=1).output
    assert first not in invoke("review", "list", "acme").output
    with store.transaction() as tx:
        row = workflow(tx, "site/garden")
    with store.transaction(row.account_id) as tx:
        lines = tx.rows(
            "audit_list", before=None, limit=20, actor=None, action=None, target=f"article:{ids[0]}"
        )
    assert [line["action"] for line in lines][:2] == ["article.approve", "article.edit"]


def test_a_link_for_a_reviewer_is_printed_once_and_revoked(
    invoke: Invoke, airflow: FakeAirflow, ids: list[int]
) -> None:
    made = invoke("review", "share", "acme", "--for", "Kim", "--piece", f"art_{ids[0]}", "--decide").output
    assert made.startswith("http://airflow.example/pressroom/link#prl_")
    listed = invoke("review", "links", "acme").output
    assert "Kim" in listed
    assert "prl_" not in listed
    invoke("review", "share", "acme", "--for", "Kim", "--of", "garden", "--piece", "art_1", code=2)
    invoke("review", "revoke", "acme", "lnk_1")
    assert "no link lnk_9" in invoke("review", "revoke", "acme", "lnk_9", code=1).output
