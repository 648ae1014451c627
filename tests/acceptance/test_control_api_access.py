"""Who may call the control API in a real API server: Airflow's logins, and an account's members.

Every rule holds under both auth managers, and what somebody is to Airflow counts for nothing, unless it is
its administrator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.acceptance.api_servers import PASSWORD, ApiServer, two_api_servers

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

KEY = {"name": "a key", "role": "viewer"}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, ApiServer]]:
    """Both API servers."""
    with two_api_servers() as found:
        yield found


@pytest.fixture(params=["simple", "fab"])
def server(request: pytest.FixtureRequest, servers: dict[str, ApiServer]) -> ApiServer:
    """One server after the other."""
    return servers[request.param]


def accounts(server: ApiServer, headers: dict[str, str]) -> list[tuple[str, str]]:
    return [(one["account"], one["role"]) for one in server.get("accounts", headers)]


def test_members_see_their_account_and_no_other(server: ApiServer) -> None:
    ann = server.bearer("ann")
    mine, orchard = server.sites["simple"], server.sites["orchard"]
    assert accounts(server, ann) == [("press", "viewer")]
    assert {site["slug"] for site in server.get("sites", ann)["items"]} == {"simple", "fab"}
    assert server.get(f"sites/{mine}", ann)["slug"] == "simple"
    theirs, nothing = (server.call("GET", f"sites/{number}", ann) for number in (orchard, 10**6))
    assert theirs.status_code == nothing.status_code == 404
    assert theirs.json() == nothing.json()
    # Op is more than Viewer to Airflow, and means nothing here.
    assert accounts(server, server.bearer("stella")) == [("rival", "owner")]
    assert server.call("GET", f"sites/{mine}", server.bearer("stella")).status_code == 404


def test_the_member_s_role_decides_what_they_may_do(server: ApiServer) -> None:
    refused = server.call("POST", "api-keys?account=press", server.bearer("ann"), json=KEY)
    assert refused.status_code == 403
    assert "this needs the role owner in the account press, and yours is viewer" in refused.text
    assert server.call("POST", "api-keys", server.bearer("stella"), json=KEY).status_code == 201


def test_airflow_s_admin_sees_all(server: ApiServer) -> None:
    assert accounts(server, server.bearer("root")) == [("press", "owner"), ("rival", "owner")]


def test_whoever_is_logged_in_and_no_member_has_nothing(server: ApiServer) -> None:
    machine = server.bearer("machine")
    assert accounts(server, machine) == []
    assert server.call("GET", f"sites/{server.sites['simple']}", machine).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Bearer prk_nothing"}, {"Cookie": "_token=x"},
     {"Authorization": "Basic YW5uOm5vdC1hLXNlY3JldA=="}],
    ids=["none", "garbage", "no such key", "garbage cookie", "basic"],
)  # fmt: skip
def test_without_a_login_nothing_is_to_be_had(server: ApiServer, headers: dict[str, str]) -> None:
    for path in ("accounts", f"sites/{server.sites['simple']}", "openapi.json", "docs"):
        answer = server.call("GET", path, headers)
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert server.call("POST", "api-keys", headers, json=KEY).status_code == 401


def test_a_login_ends_with_the_logout(server: ApiServer) -> None:
    ann = server.bearer("ann")
    assert accounts(server, ann) == [("press", "viewer")]
    httpx.get(f"{server.url}/api/v2/auth/logout", headers=ann, timeout=60)
    assert server.call("GET", "accounts", ann).status_code == 401


@contextmanager
def session(server: ApiServer, name: str) -> Iterator[httpx.Client]:
    """A browser after the login: under FAB through its form; the other's page only keeps the token."""
    with httpx.Client(timeout=60, follow_redirects=True) as browser:
        page = browser.get(f"{server.url}/auth/login/")
        form = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
        if form is None:
            browser.cookies.set("_token", server.token(name))
        else:
            fields = {"username": name, "password": PASSWORD, "csrf_token": form[1]}
            browser.post(page.url, data=fields)
        assert browser.cookies.get("_token")
        yield browser


def test_the_session_of_a_browser_reads_and_writes_and_no_other_site_writes_with_it(
    server: ApiServer,
) -> None:
    with session(server, "stella") as browser:
        assert [one["account"] for one in browser.get(f"{server.api}/accounts").json()] == ["rival"]
        assert browser.get(f"{server.api}/docs").status_code == 200

        def write(**headers: str) -> int:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            return browser.post(f"{server.api}/api-keys", headers=sent, json=KEY).status_code

        assert write(Origin="https://evil.test", Sec_Fetch_Site="cross-site") == 403
        assert write(Origin="https://evil.test") == 403
        assert write(Origin=server.url, Sec_Fetch_Site="same-site") == 403
        assert write() == 403
        assert write(Origin=server.url, Sec_Fetch_Site="same-origin") == 201
        assert write(Origin=server.url) == 201
        # A token is sent on purpose, whatever cookie comes along.
        assert write(Origin="https://evil.test", Authorization=f"Bearer {server.token('stella')}") == 201


def test_an_api_key_needs_no_login_to_airflow(server: ApiServer) -> None:
    key = server.call("POST", "api-keys", server.bearer("stella"), json=KEY).json()["key"]
    with_key = {"Authorization": f"Bearer {key}"}
    assert accounts(server, with_key) == [("rival", "viewer")]
    assert server.call("POST", "api-keys", with_key, json=KEY).status_code == 403
    # It is none to Airflow.
    assert httpx.get(f"{server.url}/api/v2/dags", headers=with_key, timeout=60).status_code in (401, 403)


def test_an_editor_starts_and_retries_a_run_whatever_airflow_would_let_them_do(server: ApiServer) -> None:
    ed, root = server.bearer("ed"), server.bearer("root")
    runs = f"{server.url}/api/v2/dags/site__{server.name}/dagRuns"
    body: dict[str, object] = {"logical_date": None, "conf": {}}
    assert httpx.post(runs, headers=ed, json=body, timeout=60).status_code == 403
    path = f"automation/run_now?site_id={server.sites[server.name]}"
    assert server.call("POST", path, server.bearer("ann")).status_code == 403
    again = {**ed, "Idempotency-Key": server.name}
    first, second = (server.call("POST", path, again) for _ in range(2))
    assert first.status_code == 202, first.text
    assert first.json() == second.json()
    known = httpx.get(runs, headers=root, timeout=60).json()["dag_runs"]
    assert [(run["dag_run_id"], run["note"]) for run in known] == [
        (first.json()["dag_run_id"], "started by user:ed")
    ]
    # No scheduler runs it here, so it is ended by hand.
    job = first.json()["run_id"]
    server.sql("UPDATE runs SET status = 'failed' WHERE id = %s", int(job.removeprefix("job_")))
    retried = server.call("POST", f"pipeline/jobs/{job}/retry", ed, json={"from_stage": "content"})
    assert retried.status_code == 202, retried.text


def test_the_hooks_beside_it_are_the_ones_without_a_login(server: ApiServer) -> None:
    answer = httpx.post(f"{server.url}/pressroom/hooks/flows/nothing", json={}, timeout=60)
    assert answer.status_code == 401
    assert answer.json()["detail"] == "the signature is missing, wrong, or too old"


# Airflow's own pages ------------------------------------------------------------------------------------

LISTS = [
    "dags", "dagTags", "dagWarnings", "dags/~/dagRuns", "dags/~/dagRuns/~/taskInstances",
    "dags/~/dagRuns/~/taskInstances/~/xcomEntries", "dags/~/dagRuns/~/hitlDetails", "dags/~/dagVersions",
    "eventLogs", "importErrors", "assets", "assets/events", "connections", "variables", "pools", "jobs",
    "backfills?dag_id=site__orchard", "dagStats", "config",
]  # fmt: skip
PAGES = ["dags", "dashboard/historical_metrics_data?start_date=2020-01-01T00:00:00Z", "dashboard/dag_stats",
         "dependencies", "teams"]  # fmt: skip


def airflow(server: ApiServer, method: str, path: str, name: str, **more: object) -> httpx.Response:
    """Call Airflow's own API as somebody."""
    url = f"{server.url}/{path if path.startswith('ui/') else f'api/v2/{path}'}"
    return httpx.request(method, url, headers=server.bearer(name), timeout=60, **more)  # type: ignore[arg-type]


def test_under_fab_the_role_of_an_account_shows_its_dags_and_no_others(
    servers: dict[str, ApiServer],
) -> None:
    server = servers["fab"]
    body = {"logical_date": None, "conf": {"articles": 3}}
    assert airflow(server, "POST", "dags/site__orchard/dagRuns", "root", json=body).status_code == 200

    def seen(name: str) -> set[str]:
        return {dag["dag_id"] for dag in airflow(server, "GET", "dags", name).json()["dags"]}

    assert seen("root") == {"site__simple", "site__fab", "site__orchard"}
    assert seen("rita") == seen("rudi") == {"site__simple", "site__fab"}
    for path in ("", "/details", "/dagRuns", "/tasks", "/dagVersions"):
        for name in ("rita", "rudi"):
            assert airflow(server, "GET", f"dags/site__fab{path}", name).status_code == 200, path
            assert airflow(server, "GET", f"dags/site__orchard{path}", name).status_code == 403, path
    for path in (*LISTS, *(f"ui/{page}" for page in PAGES)):
        for name in ("rita", "rudi"):
            answer = airflow(server, "GET", path, name)
            assert answer.status_code < 500, path
            assert answer.status_code in (401, 403, 404) or "orchard" not in answer.text, path


def test_under_fab_only_the_role_that_runs_may_run_and_only_in_its_account(
    servers: dict[str, ApiServer],
) -> None:
    server = servers["fab"]
    body: dict[str, object] = {"logical_date": None, "conf": {}}
    pause = {"is_paused": False}
    wanted = {
        ("rita", "simple"): 403,
        ("rudi", "simple"): 200,
        ("rita", "orchard"): 403,
        ("rudi", "orchard"): 403,
    }
    for (name, site), status in wanted.items():
        runs = airflow(server, "POST", f"dags/site__{site}/dagRuns", name, json=body)
        assert runs.status_code == status, (name, site, runs.text)
        patched = airflow(server, "PATCH", f"dags/site__{site}", name, json=pause)
        assert patched.status_code == status, (name, site, patched.text)
    assert airflow(server, "DELETE", "dags/site__simple", "rudi").status_code == 403
