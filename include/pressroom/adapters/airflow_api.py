"""The client of Airflow's public REST API (v2), as far as Pressroom steers runs from outside.

Needs: the URL of an API server, a user and a password. Fails as ``adapters.http.errors`` says, and besides::

    409                                 RunConflict
    an answer that is not Airflow's     PermanentError
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, cast
from urllib.parse import quote

import httpx

from pressroom.adapters.http.bodies import BoundedBody
from pressroom.adapters.http.errors import ErrorRow, Refusal, error_of, retry_after, scrub, unanswered
from pressroom.adapters.http.service import ANSWER_BYTES, PATIENCE, WORDS_CHARS, with_body
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    PressroomError,
    RunConflict,
    TransientError,
)

TIMEOUT_SECONDS = 30.0
ROWS = (ErrorRow(RunConflict, {409}),)
FINAL_STATES = frozenset({"success", "failed"})


class AirflowApi:
    """A client of one Airflow. ``transport`` takes the network's place in tests."""

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = url.rstrip("/")
        self._user = user
        self._password = password
        self._sleep = sleep
        self._token: str | None = None
        try:
            self._http = httpx.Client(base_url=f"{self._url}/", timeout=TIMEOUT_SECONDS, transport=transport)
        except httpx.InvalidURL:
            raise ConfigurationError("Airflow's URL is not an http(s) URL") from None
        # What an error may show: a URL can carry a user and a password.
        self._where = (
            f"Airflow at {self._http.base_url.host}:{self._http.base_url.port or self._http.base_url.scheme}"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def trigger(
        self, dag_id: str, conf: Mapping[str, Any] | None = None, *, dag_run_id: str | None = None
    ) -> str:
        """Start a DAG run and return its id. With ``dag_run_id``, a repeated call cannot start a second run.

        Raises RunConflict when that id exists, PermanentError when the DAG does not or refuses ``conf``.
        """
        body: dict[str, Any] = {"conf": dict(conf or {}), "logical_date": None}
        if dag_run_id is not None:
            body["dag_run_id"] = dag_run_id
        answer = self._call("POST", f"dags/{part(dag_id)}/dagRuns", body)
        return str(answer["dag_run_id"])

    def asset_event(self, uri: str) -> None:
        """Tell Airflow that there is something new at an asset: DAGs that it schedules run.

        Raises PermanentError when no DAG names the asset.
        """
        page = self._call("GET", f"assets?limit=100&uri_pattern={part(uri)}")
        ids = [asset["id"] for asset in page.get("assets", ()) if asset.get("uri") == uri]
        if not ids:
            raise PermanentError(f"{self._where} knows no asset {uri}")
        self._call("POST", "assets/events", {"asset_id": ids[0], "extra": {}})

    def answer(self, task: Mapping[str, Any], option: str, fields: Mapping[str, Any]) -> None:
        """Answer a waiting human-in-the-loop task, named by dag_id, run_id, task_id and map_index.

        Raises RunConflict when it was answered already.
        """
        self._call("PATCH", answer_path(task), {"chosen_options": [option], "params_input": dict(fields)})

    def run_state(self, dag_id: str, dag_run_id: str) -> str:
        """queued, running, success or failed."""
        return str(self._call("GET", f"dags/{part(dag_id)}/dagRuns/{part(dag_run_id)}")["state"])

    def alive(self, dag_id: str, dag_run_id: str) -> bool:
        """Whether there is such a DAG run and it has not ended."""
        path = f"dags/{part(dag_id)}/dagRuns/{part(dag_run_id)}"
        answer = self._send("GET", path, None, allow=(404,))
        return answer.status_code != 404 and self._json(answer)["state"] not in FINAL_STATES

    def paused(self, dag_id: str) -> bool:
        """Whether there is such a DAG and somebody has paused it."""
        answer = self._send("GET", f"dags/{part(dag_id)}", None, allow=(404,))
        return answer.status_code != 404 and bool(self._json(answer).get("is_paused"))

    def dag_exists(self, dag_id: str) -> bool:
        """Whether Airflow has parsed such a DAG."""
        return self._send("GET", f"dags/{part(dag_id)}", None, allow=(404,)).status_code != 404

    def parse_dag_files(self, tag: str) -> int:
        """Have Airflow parse the files of the DAGs with that tag now, not at their next turn.

        Returns how many files. A file without a DAG so far is not among them: Airflow names files by DAGs.
        """
        files: set[str] = set()
        read, total = 0, 1
        while read < total:
            page = self._call("GET", f"dags?limit=100&offset={read}&order_by=dag_id&tags={part(tag)}")
            files |= {str(dag["file_token"]) for dag in page["dags"]}
            read, total = read + max(1, len(page["dags"])), int(page["total_entries"])
        for file in files:
            self.parse_dag_file(file)
        return len(files)

    def parse_dag_file(self, file: str) -> None:
        """Have one file parsed now, by the token of its DAGs. A request that waits already is enough."""
        self._send("PUT", f"parseDagFile/{part(file)}", None, allow=(409,))

    def connection_exists(self, connection_id: str) -> bool:
        """Whether Airflow's database has such a connection; those of the environment are not there."""
        path = f"connections/{part(connection_id)}"
        return self._send("GET", path, None, allow=(404,)).status_code != 404

    def pressroom(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A call of Pressroom's own API in this Airflow. Errors as of all the others."""
        return self._json(self._send(method, path, body, root="pressroom/api/v1"))

    def wait(
        self,
        dag_id: str,
        dag_run_id: str,
        *,
        timeout: float | None = None,
        interval: float = 1.0,
        on_poll: Callable[[str], None] | None = None,
    ) -> str:
        """Poll every ``interval`` seconds until the run has ended, and return success or failed.

        ``on_poll`` sees every state. An Airflow that is away for a while is waited for, up to a minute.
        Raises TransientError when it stays away, or when ``timeout`` seconds are over.
        """
        end = None if timeout is None else time.monotonic() + timeout
        lost_since: float | None = None
        while True:
            try:
                state = self.run_state(dag_id, dag_run_id)
                lost_since = None
                if on_poll:
                    on_poll(state)
                if state in FINAL_STATES:
                    return state
            except TransientError:
                lost_since = lost_since or time.monotonic()
                if time.monotonic() - lost_since > 60:
                    raise
            if end is not None and time.monotonic() > end:
                raise TransientError(f"{dag_id} {dag_run_id} has not ended within {timeout:g} seconds")
            self._sleep(interval)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._json(self._send(method, path, body))

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        allow: Sequence[int] = (),
        root: str = "api/v2",
    ) -> httpx.Response:
        fresh = self._token is None
        response = self._request(method, f"{root}/{path}", body, token=self._token or self._log_in())
        if response.status_code == 401 and not fresh:
            response = self._request(method, f"{root}/{path}", body, token=self._log_in())
        if response.is_success or response.status_code in allow:
            return response
        raise self._error(response, f"{method} {path.partition('?')[0]}", explanation(response))

    def _log_in(self) -> str:
        response = self._request(
            "POST", "auth/token", {"username": self._user, "password": self._password}, token=None
        )
        if response.status_code in (401, 403, 422):
            raise ConfigurationError(f"{self._where} refuses the login of {self._user!r}")
        if not response.is_success:
            # Without the answer's text: a validation error repeats what was sent, the password too.
            raise self._error(response, "POST auth/token", "")
        self._token = str(self._json(response)["access_token"])
        return self._token

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, token: str | None
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with self._http.stream(method, path, json=body, headers=headers) as answer:
                return with_body(answer, _whole(answer))
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise unanswered(error, self._where, "Airflow") from None
        except PressroomError as error:
            raise type(error)(f"{self._where}: its answer: {error}") from None

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        try:
            data = response.json()
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise PermanentError(f"{self._where} answers with something else than Airflow's REST API does")
        return data

    def _error(self, response: httpx.Response, call: str, detail: str) -> PressroomError:
        words = scrub(detail, self._password)[:WORDS_CHARS]
        text = f"{self._where}: {call}: {response.status_code}{f': {words}' if words else ''}"
        refusal = Refusal(response.status_code, words=detail)
        return error_of(refusal, text, ROWS, retry_after=retry_after(response.headers))


def _whole(answer: httpx.Response) -> bytes:
    """The body, within the bounds that every service has."""
    end = time.monotonic() + PATIENCE * TIMEOUT_SECONDS
    body = BoundedBody(answer.headers, ANSWER_BYTES)
    for chunk in cast("httpx.SyncByteStream", answer.stream):
        body.feed(chunk)
        if time.monotonic() > end:
            raise httpx.ReadTimeout("it goes on and on")
    return body.finish()


def part(name: object) -> str:
    """A name as one part of a path."""
    return quote(str(name), safe="")


def answer_path(task: Mapping[str, Any]) -> str:
    """Where a waiting human-in-the-loop task is answered."""
    names = (task["dag_id"], task["run_id"], task["task_id"], int(task["map_index"]))
    return "dags/{}/dagRuns/{}/taskInstances/{}/{}/hitlDetails".format(*map(part, names))


def clearing(
    dag_run_id: str, task_ids: Sequence[object], *, downstream: bool = True, only_failed: bool = False
) -> dict[str, Any]:
    """The body that clears tasks; by default, Airflow only says what it would clear."""
    return {
        "dry_run": False,
        "only_failed": only_failed,
        "dag_run_id": dag_run_id,
        "task_ids": list(task_ids),
        "include_downstream": downstream,
        "reset_dag_runs": True,
    }


def explanation(response: httpx.Response) -> str:
    """Airflow's explanation, without the input that a validation error repeats."""
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return ""
    if isinstance(detail, list):
        return "; ".join(
            f"{'.'.join(map(str, item.get('loc', ())))}: {item.get('msg', '')}"
            for item in detail
            if isinstance(item, dict)
        )
    if isinstance(detail, dict):
        return str(detail.get("reason") or detail.get("message") or "")
    return str(detail)
