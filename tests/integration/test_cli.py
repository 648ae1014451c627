"""The command line against a real database, with a transport in Airflow's place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml
from typer.testing import CliRunner, Result

from pressroom.cli import app
from pressroom.domain.flows import GateStep
from pressroom.engine import gates
from pressroom.store.database import Store
from tests.support.flow_world import FETCH, PING, entries, make_flow

DEFINITIONS = (
    "kind: Account\nslug: acme\nname: Acme\nopening_credits: 100\nmembers: {ann: owner}\n---\n"
    "kind: BrandContext\naccount: acme\nslug: main\nname: Main\n---\n"
    "kind: Site\naccount: acme\nslug: garden\nname: Garden\nbrand: main\n"
    "automation: {enabled: true, time: '06:30', timezone: Europe/Berlin}\n"
)
SECRET = "hunter2"
Invoke = Callable[..., Result]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "a.yaml").write_text(DEFINITIONS)
    return folder


@pytest.fixture
def invoke(store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    """Runs a command; checks its exit code, and that nothing that fails shows a traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRESSROOM_DATABASE_URL", database_url)

    def call(*words: object, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return call


@pytest.fixture
def garden(invoke: Invoke, files: Path) -> Invoke:
    invoke("apply", "-f", files)
    return invoke


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection[tuple[int]]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def add_run(database: psycopg.Connection[tuple[int]], status: str = "running") -> int:
    row = database.execute(
        "INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, owner, status,"
        " current_stage, lease_until) SELECT account_id, id, 'site__garden', 'manual__1', 'manual', 'ann',"
        " %s, 'ideas',"
        " now() + interval '5 min' FROM sites WHERE slug = 'garden' RETURNING id",
        (status,),
    ).fetchone()
    assert row
    database.execute(
        "INSERT INTO run_events (account_id, run_id, id, stage, kind, level, message)"
        " SELECT account_id, runs.id, n, 'ideas', 'x', l, m FROM runs,"
        " (VALUES (1, 'info', 'first'), (2, 'info', 'second'), (3, 'error', 'third')) AS v (n, l, m)"
    )
    database.execute("UPDATE runs SET last_event = 3")
    return row[0]


class FakeAirflow:
    """Answers as Airflow's REST API does. ``runs``: DAG run id → conf; ``ends``: called for each look at a
    run; ``status``: of the answer to a trigger; ``paused``: the DAG; ``asked``: the map indexes of
    the waiting tasks that were answered, of which the first is gone.
    """

    def __init__(self) -> None:
        self.runs: dict[str, object] = {}
        self.ends: Callable[[str], None] = lambda run: None
        self.state = "success"
        self.status = 200
        self.paused = False
        self.asked: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/auth/token":
            return httpx.Response(201, json={"access_token": "t"})
        if request.method == "POST" and path == "/api/v2/dags/site__garden/dagRuns":
            body = json.loads(request.content)
            if self.status != 200:
                return httpx.Response(self.status, json={"detail": "no room"})
            self.runs[body["dag_run_id"]] = body["conf"]
            return httpx.Response(200, json={"dag_run_id": body["dag_run_id"]})
        if path.endswith("/hitlDetails"):
            self.asked.append(int(path.split("/")[-2]))
            return httpx.Response(404 if self.asked[-1] == 0 else 200, json={"detail": "no such task"})
        if "/dagRuns/" in path:
            self.ends(path.rpartition("/")[2])
            return httpx.Response(200, json={"state": self.state})
        if path == "/api/v2/dags/site__garden":
            return httpx.Response(200, json={"is_paused": self.paused})
        return httpx.Response(404, json={"detail": "no"})


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> FakeAirflow:
    fake = FakeAirflow()
    real = httpx.Client

    def client(**options: object) -> httpx.Client:
        return real(**(options | {"transport": httpx.MockTransport(fake)}))  # type: ignore[arg-type]

    monkeypatch.setattr(httpx, "Client", client)
    monkeypatch.setenv("PRESSROOM_AIRFLOW_URL", "http://airflow.example")
    monkeypatch.setenv("PRESSROOM_AIRFLOW_USER", "ann")
    monkeypatch.setenv("PRESSROOM_AIRFLOW_PASSWORD", SECRET)
    return fake


def test_migrate_says_when_there_is_nothing_to_do(invoke: Invoke) -> None:
    assert invoke("migrate").output == "the schema is current\n"


def test_apply_shows_what_it_does(invoke: Invoke, files: Path) -> None:
    dry = invoke("apply", "-f", files, "--dry-run").output
    assert "create Site garden\n" in dry
    assert '  + automation.time: "06:30:00"\n' in dry
    assert dry.endswith("3 created (dry run: nothing was written)\n")
    assert invoke("apply", "-f", files).output.endswith("3 created\n")
    assert invoke("apply", "-f", files).output == "3 unchanged\n"
    (files / "a.yaml").write_text(DEFINITIONS.split("---\n")[0])
    pruned = invoke("apply", "-f", files, "--prune").output
    assert pruned.endswith("1 unchanged, 1 disabled, 1 kept\n")


def test_bad_definitions_are_a_line_each(invoke: Invoke, files: Path) -> None:
    (files / "b.yaml").write_text("kind: Site\naccount: acme\nslug: x\nname: x\nurll: x\nbrnd: x\n")
    lines = invoke("apply", "-f", files, code=1).stderr.splitlines()
    assert lines == [
        f"error: {files}/b.yaml:5: Site x: urll: unknown key. Did you mean 'url'?",
        f"error: {files}/b.yaml:6: Site x: brnd: unknown key. Did you mean 'brand'?",
    ]


def test_get_gives_tables_and_what_can_be_applied_again(garden: Invoke, files: Path) -> None:
    table = garden("get", "sites").output.splitlines()
    assert table[0].split() == ["SLUG", "NAME", "ACCOUNT", "STATUS", "SCHEDULE", "BRAND"]
    assert table[1].split("  ")[0] == "garden"
    assert "30 6 * * * Europe/Berlin" in table[1]
    assert "ACME" not in garden("get", "accounts").output
    again = "---\n".join(garden("get", kind, "-o", "yaml").output for kind in ("accounts", "brands", "sites"))
    (files / "a.yaml").write_text(again)
    assert garden("apply", "-f", files).output == "3 unchanged\n"
    one = json.loads(garden("get", "Site", "garden", "-o", "json").output)
    assert one["kind"] == "Site"
    assert yaml.safe_load(garden("get", "account", "acme", "-o", "yaml").output)["members"] == {
        "ann": "owner"
    }


def test_get_names_the_nearest(garden: Invoke) -> None:
    assert "Did you mean 'garden'?" in garden("get", "site", "gardn", code=1).stderr
    assert "Did you mean" in garden("get", "sitez", code=2).stderr


def test_import_lists_bad_rows(garden: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "k.csv"
    file.write_text("keyword;volume;cpc\nroses;1.2k;3\ntulips;many;1\nRoses!;5;1\n")
    result = garden("import", "keywords", "garden", file)
    assert result.stdout == "1 added, 1 duplicates skipped, 1 bad rows\ncolumns not used: cpc\n"
    assert result.stderr == f"{file}:3: the volume 'many' is not a number\n"
    overview = garden("overview", "garden").output.splitlines()
    assert overview[0].split() == ["STAGE", "TITLE", "PENDING", "FAILED"]
    assert overview[1].split()[0] == "clusters"
    assert overview[1].split()[-2:] == ["1", "0"]
    assert "cannot be read" in garden("import", "keywords", "garden", tmp_path / "no.csv", code=1).stderr
    assert "Did you mean 'garden'" in garden("import", "keywords", "gardne", file, code=1).stderr


def test_credits(garden: Invoke) -> None:
    assert garden("credits", "garden").output.splitlines()[1].split() == [
        "acme",
        "100.00",
        "0.00",
        "100.00",
        "0.0000",
    ]
    assert garden("credits", "grant", "acme", "12.50").output.endswith("the balance is 112.50\n")
    garden("credits", "grant", "acme", "12.50")
    assert "125.00" in garden("credits", "acme").output
    for wrong in ("0", "1.234", "many", "nan"):
        garden("credits", "grant", "acme", wrong, code=2)
    assert "Did you mean 'acme'" in garden("credits", "acmee", code=1).stderr


def test_run_is_on_record_and_holds_the_lock_before_airflow_gets_it(
    garden: Invoke, airflow: FakeAirflow
) -> None:
    started = garden("run", "garden", "--articles", 3).output
    assert airflow.runs == {started.split()[-1]: {"articles": 3}}
    assert started == f"started site__garden {started.split()[-1]}\n"
    assert garden("history", "garden").output.splitlines()[1].split()[:3] == ["1", "running", "manual"]
    assert "started by ann at 20" in garden("run", "garden", code=1).stderr
    assert len(airflow.runs) == 1


def test_run_waits_for_the_end(
    garden: Invoke, airflow: FakeAirflow, database: psycopg.Connection[tuple[int]]
) -> None:
    def end(run: str) -> None:
        database.execute("UPDATE runs SET status = %s WHERE dag_run_id = %s", (status, run))

    airflow.ends, status = end, "completed"
    assert garden("run", "garden", "--wait").output.endswith("garden: completed\n")
    airflow.state = status = "failed"
    assert garden("run", "garden", "--wait", code=1).output.endswith("garden: failed\n")


def test_a_run_that_airflow_refuses_is_over_and_says_why(garden: Invoke, airflow: FakeAirflow) -> None:
    airflow.status = 400
    assert "400: no room" in garden("run", "garden", code=1).stderr
    history = garden("history", "garden").output
    assert history.splitlines()[1].split()[:3] == ["1", "failed", "manual"]
    assert "Airflow refused the run: " in history
    airflow.status = 200
    garden("run", "garden")  # the lock is free again


def test_run_is_refused_without_the_credits(
    garden: Invoke, airflow: FakeAirflow, database: psycopg.Connection[tuple[int]], tmp_path: Path
) -> None:
    (tmp_path / "k.csv").write_text("keyword\n" + "\n".join(f"keyword {number}" for number in range(10)))
    garden("import", "keywords", "garden", tmp_path / "k.csv")
    database.execute("UPDATE accounts SET balance = 0.01")
    assert "credits (1.2 × the estimate of" in garden("run", "garden", code=1).stderr
    assert airflow.runs == {}
    assert garden("history", "garden").output.splitlines()[1:] == []


def test_a_paused_dag_is_told_when_a_run_is_started_and_in_its_status(
    garden: Invoke, airflow: FakeAirflow
) -> None:
    airflow.paused = True
    warning = "warning: the DAG site__garden is paused in Airflow"
    assert garden("run", "garden").stderr.startswith(warning)
    assert garden("status", "garden").stderr.startswith(warning)
    airflow.paused = False
    assert garden("status", "garden").stderr == ""


def test_run_is_refused_while_the_site_is_disabled(garden: Invoke, airflow: FakeAirflow, files: Path) -> None:
    text = "kind: Site\naccount: acme\nslug: shut\nname: Shut\nstatus: disabled\n"
    (files / "c.yaml").write_text(text)
    garden("apply", "-f", files)
    what = "the site shut is disabled: set status: active and apply it, or activate it over the API"
    assert garden("run", "shut", code=1).stderr == f"error: {what}\n"
    assert airflow.runs == {}


def test_run_is_refused_while_one_is_live(
    garden: Invoke, airflow: FakeAirflow, database: psycopg.Connection[tuple[int]]
) -> None:
    add_run(database)
    said = garden("run", "garden", code=1).stderr
    assert said.startswith("error: run 1 (manual__1) of this workflow is running, started by ann at ")
    assert airflow.runs == {}


def test_run_without_airflow_says_how_to_name_it(garden: Invoke) -> None:
    assert "PRESSROOM_AIRFLOW_URL" in garden("run", "garden", code=1).stderr


def test_pause_resume_and_cancel(garden: Invoke, database: psycopg.Connection[tuple[int]]) -> None:
    for command in ("pause", "resume", "cancel"):
        assert garden(command, "garden", code=1).stderr.startswith(f"error: cannot {command}: ")
    add_run(database)
    garden("pause", "garden")
    assert "paused" in garden("status", "garden").output
    garden("resume", "garden")
    garden("cancel", "garden")
    assert "cancel requested" in garden("status", "garden").output


def test_status_history_and_logs(garden: Invoke, database: psycopg.Connection[tuple[int]]) -> None:
    assert garden("status", "garden").output == "garden has no runs yet\n"
    assert "garden has no runs yet" in garden("logs", "garden", code=1).stderr
    add_run(database, "failed")
    assert garden("status", "garden").output.startswith("run 1 (manual__1): failed since ")
    assert garden("history", "garden").output.splitlines()[1].split()[:3] == ["1", "failed", "manual"]
    lines = garden("logs", "garden", "-f", "--lines", 2).output.splitlines()
    assert [line.split()[1:] for line in lines] == [["ideas", "second"], ["ideas", "ERROR", "third"]]


def test_a_run_that_never_began_does_not_hide_the_one_that_did_the_work(
    garden: Invoke, database: psycopg.Connection[tuple[int]]
) -> None:
    worked = add_run(database, "completed")
    database.execute(
        "INSERT INTO stage_results (account_id, run_id, stage) SELECT account_id, id, 'ideas' FROM runs"
    )
    refused = database.execute(
        "INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, owner, status, lease_until,"
        " error_message) SELECT account_id, workflow_id, dag_id, 'manual__2', 'manual', 'bob', 'failed',"
        " now(), 'run 1 is running' FROM runs RETURNING id"
    ).fetchone()
    assert refused
    first, second, *_ = garden("status", "garden").output.splitlines()
    assert first == f"run {refused[0]}, started by bob later, never began: run 1 is running"
    assert second.startswith(f"run {worked} (manual__1): completed since ")
    chosen = garden("status", "garden", "--run", refused[0]).output
    assert chosen.startswith(f"run {refused[0]} (manual__2): failed since ")
    assert "error: run 1 is running" in chosen
    wrong = garden("status", "garden", "--run", 99, code=1).stderr
    assert wrong == "error: garden has no run 99: `pressroom history garden` lists them\n"


def test_logs_are_chosen_by_stage_and_level(garden: Invoke, database: psycopg.Connection[tuple[int]]) -> None:
    add_run(database, "completed")
    assert len(garden("logs", "garden", "--stage", "ideas").output.splitlines()) == 3
    assert garden("logs", "garden", "--stage", "content").output == ""
    [line] = garden("logs", "garden", "--level", "warning", "-f").output.splitlines()
    assert line.endswith("ERROR third")
    garden("logs", "garden", "--level", "loud", code=2)


def test_cancel_now_is_for_runs_that_are_being_cancelled_too(
    garden: Invoke, database: psycopg.Connection[tuple[int]]
) -> None:
    add_run(database)
    assert garden("cancel", "garden").output == "garden: cancelled after the current items\n"
    assert garden("cancel", "garden", "--now").output == "garden: cancelled at once\n"
    row = database.execute("SELECT count(*) FROM runs WHERE cancel_requested AND cancel_now").fetchone()
    assert row == (1,)
    assert "is being cancelled" in garden("cancel", "garden", "--now", code=1).stderr


def test_a_wait_that_airflow_does_not_end_keeps_none_of_the_others(
    invoke: Invoke, database_url: str, store: Store, airflow: FakeAirflow
) -> None:
    step = GateStep(name="look", type="gate", by="approval")
    world = make_flow(database_url, store, FETCH, step.model_dump(), PING)
    world.sources = entries("one", "two")
    run = world.run()
    with store.transaction(world.account_id) as tx:
        for number, item in enumerate(world.take(run)):
            task = {"dag_id": run.flow.dag_id, "run_id": "r", "task_id": "item.look", "map_index": number}
            gates.open_gate(tx, run, item, step, "", task)
    result = invoke("cancel", run.flow.slug)
    assert result.stdout == f"{run.flow.slug}: cancelled after the current items\n"
    assert result.stderr.startswith("warning: a wait for a person was not ended: ")
    assert airflow.asked == [0, 1]


def test_outside_the_projects_folder_the_way_back_is_said(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PRESSROOM_DATABASE_URL")
    monkeypatch.delenv("AIRFLOW_CONN_PRESSROOM_DB", raising=False)
    assert "call this in the project's folder" in invoke("status", "garden", code=1).stderr


def test_estimate(garden: Invoke, tmp_path: Path) -> None:
    (tmp_path / "k.csv").write_text("keyword\n" + "\n".join(f"keyword {number}" for number in range(10)))
    garden("import", "keywords", "garden", tmp_path / "k.csv")
    assert garden("estimate", "garden").output.splitlines()[-1].split()[-1] == "sufficient"


def test_retry_failed(garden: Invoke, database: psycopg.Connection[tuple[int]]) -> None:
    assert garden("retry-failed", "garden").output == "0 failed items wait again\n"
    assert "Did you mean 'content'" in garden("retry-failed", "garden", "--stage", "contents", code=2).stderr


def test_preview(garden: Invoke, tmp_path: Path) -> None:
    path = Path(garden("preview", "garden", "--out", tmp_path / "out").output.strip())
    assert path.exists()


OF_A_SITE = (
    "run", "pause", "resume", "cancel", "status", "history", "logs", "estimate", "overview", "retry-failed",
    "preview",
)  # fmt: skip


@pytest.mark.parametrize("command", OF_A_SITE)
def test_error_behaviors_no_such_site(garden: Invoke, command: str) -> None:
    (line,) = garden(command, "gardn", code=1).stderr.splitlines()
    assert line == "error: there is no site, mission or flow 'gardn'. Did you mean 'garden'?"


def test_error_behaviors_run_not_found(
    garden: Invoke, database: psycopg.Connection[tuple[int]], files: Path
) -> None:
    add_run(database)
    assert garden("logs", "garden", "--run", 99, code=1).stderr == "error: garden has no run 99\n"
    # Another site's run is none of this one's.
    (files / "b.yaml").write_text("kind: Site\naccount: acme\nslug: pond\nname: Pond\n")
    garden("apply", "-f", files)
    assert garden("logs", "pond", "--run", 1, code=1).stderr == "error: pond has no run 1\n"


def test_errors_are_one_line_without_secrets(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, files: Path
) -> None:
    monkeypatch.setenv("PRESSROOM_DATABASE_URL", f"postgresql://u:{SECRET}@127.0.0.1:9/press")
    monkeypatch.setattr("pressroom.store.database.CONNECT_SECONDS", 0.3)
    result = invoke("apply", "-f", files, code=1)
    assert result.stderr == "error: Pressroom's database at 127.0.0.1:9/press does not answer\n"
    monkeypatch.delenv("PRESSROOM_DATABASE_URL")
    monkeypatch.delenv("AIRFLOW_HOME", raising=False)
    (line,) = invoke("get", "sites", code=1).stderr.splitlines()
    assert line.startswith("error: Pressroom's database is not set up")


def test_usage_errors_are_two_and_help_is_there(invoke: Invoke) -> None:
    invoke("get", code=2)
    invoke("nonsense", code=2)
    invoke("apply", code=2)
    listed = invoke("--help").output
    for command in (
        "migrate", "apply", "get", "import", "credits", "run", "pause", "resume", "cancel", "status",
        "history", "logs", "estimate", "overview", "retry-failed", "preview",
    ):  # fmt: skip
        assert command in listed


@pytest.mark.usefixtures("airflow")
def test_open_prints_where_the_page_is(garden: Invoke) -> None:
    assert garden("open").stdout.strip() == "http://airflow.example/pressroom/"
    address = garden("open", "garden").stdout.strip()
    assert re.fullmatch(r"http://airflow\.example/pressroom/sites/\d+", address)
    assert "there is no" in garden("open", "nowhere", code=1).stderr
