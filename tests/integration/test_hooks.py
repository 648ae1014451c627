"""The routes without a login: what a link or a signature permits, and that nothing else does."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from pressroom.adapters.http.signing import sign
from pressroom.api.hooks import MOST_BYTES, build_app
from pressroom.domain.errors import ConfigurationError, RunConflict, TransientError
from pressroom.domain.flows import GateStep
from pressroom.domain.grants.access import Access, GrantKind
from pressroom.engine import gates
from pressroom.store.database import Store
from tests.support.flow_world import FETCH, FlowWorld, entries, make_flow

SECRET = "a-long-secret"
GATE = {"name": "look", "type": "gate", "by": "webhook"}
PING = {"name": "tell", "type": "ping", "connection": "hook"}

NOT_NOW = "this is not possible now: the server's log has the reason, for its operator"
REPEATED = "this call was received before, and is not repeated"


class StandIn:
    """Airflow, as the routes see it. ``error``: what triggering raises; ``answered``: task → option."""

    def __init__(self, store: Store) -> None:
        self.kept = store
        self.secrets = {"inbound": SECRET}
        self.error: Exception | None = None
        self.triggered: list[tuple[str, Mapping[str, Any]]] = []
        self.answered: dict[str, str] = {}

    def store(self) -> Store:
        return self.kept

    def webhook_secret(self, access: Access, connection: str) -> str:
        access.must_permit(GrantKind.CONNECTION, connection)
        if connection not in self.secrets:
            raise ConfigurationError(f"the Airflow connection {connection!r} does not exist")
        return self.secrets[connection]

    async def trigger(
        self, dag_id: str, conf: Mapping[str, Any], *, note: str, dag_run_id: str | None = None
    ) -> str:
        if self.error is not None:
            raise self.error
        json.dumps(conf, allow_nan=False)
        self.triggered.append((dag_id, conf))
        return f"run-{len(self.triggered)}"

    def answers_as(self) -> str:
        return "pressroom"

    async def answer(self, task: Mapping[str, Any], option: str, fields: Mapping[str, Any]) -> None:
        assert fields == {"text": ""}
        if task["task_id"] in self.answered:
            raise RunConflict("this was answered already")
        self.answered[task["task_id"]] = option


class Hooks:
    """The app, a flow with gates, and a webhook flow behind it."""

    def __init__(self, url: str, store: Store, client: httpx.AsyncClient, airflow: StandIn) -> None:
        self.url, self.store, self.client, self.airflow = url, store, client, airflow
        self.world: FlowWorld | None = None

    async def gate(self, by: str, subject: str = "Is it good?", title: str = "One") -> str:
        """An open gate. Returns its link's last part."""
        return await asyncio.to_thread(self._gate, by, subject, title)

    def _gate(self, by: str, subject: str, title: str) -> str:
        world = self.world = make_flow(self.url, self.store, FETCH, GATE | {"by": by})
        world.sources = entries(title)
        run = world.run()
        [item] = world.take(run)
        step = world.flow.steps[1]
        assert isinstance(step, GateStep)
        task = {"dag_id": "flow__news", "run_id": "r", "task_id": f"item.look {item}", "map_index": 0}
        with self.store.transaction(world.account_id) as tx:
            link = gates.open_gate(tx, run, item, step, subject, task)
        assert link is not None
        return link

    def outcome(self) -> str | None:
        assert self.world is not None
        return self.world.sql("SELECT outcome FROM gates")[0][0]  # type: ignore[no-any-return]

    def past(self) -> None:
        assert self.world is not None
        self.world.sql("UPDATE gates SET due_at = now() - interval '1 s'")

    async def send(
        self,
        body: bytes | None = None,
        *,
        to: str = "inbox",
        secret: str = SECRET,
        at: float | None = None,
        message: str | None = None,
    ) -> httpx.Response:
        """A signed call: of a message of its own, or of this one."""
        body = b'{"title": "New"}' if body is None else body
        headers = sign(message or str(uuid.uuid4()), body, secret, at=time.time() if at is None else at)
        return await self.client.post(f"/flows/{to}", content=body, headers=headers)


@pytest.fixture
async def hooks(database_url: str, store: Store) -> AsyncIterator[Hooks]:
    airflow = StandIn(store)
    transport = httpx.ASGITransport(app=build_app(airflow))
    async with httpx.AsyncClient(transport=transport, base_url="http://hooks") as client:
        yield Hooks(database_url, store, client, airflow)


@pytest.fixture
def inbox(hooks: Hooks) -> Hooks:
    trigger = {"webhook": "inbound"}
    make_flow(hooks.url, hooks.store, PING, slug="inbox", trigger=trigger)
    make_flow(hooks.url, hooks.store, PING, slug="closed")
    make_flow(hooks.url, hooks.store, PING, slug="off", trigger=trigger, status="disabled")
    return hooks


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["detail"]


# Gates that a webhook opens -------------------------------------------------------------------------------


async def test_a_webhook_answers_a_gate_once(hooks: Hooks) -> None:
    link = await hooks.gate("webhook")
    answer = await hooks.client.post(f"/gates/{link}", json={"decision": "approve", "note": "fine"})
    assert (answer.status_code, answer.json()) == (200, {"gate": 1, "outcome": "approve"})
    assert hooks.outcome() == "approve"
    again = await hooks.client.post(f"/gates/{link}", json={"decision": "reject"})
    assert problem(again) == (409, "this was answered already (approve, by a webhook)")
    assert hooks.outcome() == "approve"


@pytest.mark.parametrize(
    "change",
    [lambda link: link[:-1], lambda link: link + "x", lambda link: link.replace("1/", "2/", 1),
     lambda link: f"{10**30}/x", lambda link: "1/%00", lambda link: "1/%FF", lambda link: "-1/x"],
    ids=["shorter", "longer", "of another gate", "a huge number", "NUL", "no UTF-8", "negative"],
)  # fmt: skip
async def test_a_wrong_link_is_never_found(hooks: Hooks, change: Any) -> None:
    link = await hooks.gate("webhook")
    answer = await hooks.client.post(f"/gates/{change(link)}", json={"decision": "approve"})
    assert problem(answer) == (404, "no open gate has this link")
    page = await hooks.client.get(f"/approvals/{change(link)}")
    assert page.status_code == 404
    assert hooks.outcome() is None


async def test_a_late_webhook_is_refused(hooks: Hooks) -> None:
    link = await hooks.gate("webhook")
    hooks.past()
    answer = await hooks.client.post(f"/gates/{link}", json={"decision": "approve"})
    assert answer.status_code == 409
    assert "expired" in answer.json()["detail"]
    assert hooks.outcome() is None


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"decision": "maybe"}', b'{"decision": ["approve"]}', b"[]", b"nonsense", b"\xff\xfe",
     b'{"decision": "approve", "x": NaN}', b"[" * 100_000],
)  # fmt: skip
async def test_a_body_that_says_nothing_decides_nothing(hooks: Hooks, body: bytes) -> None:
    link = await hooks.gate("webhook")
    answer = await hooks.client.post(f"/gates/{link}", content=body)
    assert answer.status_code == 400
    assert hooks.outcome() is None
    assert (await hooks.client.get(f"/gates/{link}")).status_code == 405


async def test_a_webhook_may_send_anything_along(hooks: Hooks) -> None:
    link = await hooks.gate("webhook")
    body = b'{"decision": "approve", "by": "the boss", "nul": "a\\u0000b", "lone": "\\ud800"}'
    assert (await hooks.client.post(f"/gates/{link}", content=body)).status_code == 200
    assert hooks.outcome() == "approve"


@pytest.mark.parametrize("by", ["approval", "time"])
async def test_a_webhook_opens_webhook_gates_only(hooks: Hooks, by: str) -> None:
    link = await hooks.gate(by)
    answer = await hooks.client.post(f"/gates/{link}", json={"decision": "approve"})
    assert problem(answer) == (404, "no open gate has this link")
    assert hooks.outcome() is None


# Approvals by link ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", ["", "?decision=approve", "?decision=reject"])
async def test_looking_at_an_approval_decides_nothing(hooks: Hooks, decision: str) -> None:
    link = await hooks.gate("approval")
    for _ in range(2):
        page = await hooks.client.get(f"/approvals/{link}{decision}")
        assert page.status_code == 200
        assert "Is it good?" in page.text
        assert '<form method="post">' in page.text
    assert (await hooks.client.head(f"/approvals/{link}")).status_code == 405
    assert (hooks.airflow.answered, hooks.outcome()) == ({}, None)


async def test_its_page_is_for_one_pair_of_eyes(hooks: Hooks) -> None:
    page = await hooks.client.get(f"/approvals/{await hooks.gate('approval')}")
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"  # the address is the secret


async def test_what_is_asked_is_text_and_no_markup(hooks: Hooks) -> None:
    link = await hooks.gate(
        "approval", "<script>alert(1)</script> & {title}", title="<img src=x onerror=alert(1)>"
    )
    for answer in (
        await hooks.client.get(f"/approvals/{link}"),
        await hooks.client.post(f"/approvals/{link}", data={"decision": "approve"}),
    ):
        assert answer.status_code == 200
        assert not {"<script", "<img"} & {part.casefold() for part in answer.text.split()}
        assert "&lt;" in answer.text


@pytest.mark.parametrize(("decision", "option"), [("approve", "Approve"), ("reject", "Reject")])
async def test_an_approval_decides_once(hooks: Hooks, decision: str, option: str) -> None:
    link = await hooks.gate("approval")
    first = await hooks.client.post(f"/approvals/{link}", data={"decision": decision})
    assert first.status_code == 200
    assert f"is {decision}" in first.text
    second = await hooks.client.post(f"/approvals/{link}", data={"decision": "reject"})
    assert second.status_code == 409
    assert "answered already" in second.text
    assert list(hooks.airflow.answered.values()) == [option]


@pytest.mark.parametrize("body", [b"", b"decision=", b"decision=maybe", b"\xff", b'{"decision": "approve"}'])
async def test_an_approval_without_a_decision(hooks: Hooks, body: bytes) -> None:
    link = await hooks.gate("approval")
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await hooks.client.post(f"/approvals/{link}", content=body, headers=headers)
    assert answer.status_code == 400
    assert hooks.airflow.answered == {}


async def test_an_approval_of_a_million_letters(hooks: Hooks) -> None:
    body = b"decision=" + b"x" * MOST_BYTES
    assert (
        await hooks.client.post(f"/approvals/{await hooks.gate('approval')}", content=body)
    ).status_code == 413


async def test_a_late_approval(hooks: Hooks) -> None:
    link = await hooks.gate("approval")
    hooks.past()
    for answer in (
        await hooks.client.get(f"/approvals/{link}"),
        await hooks.client.post(f"/approvals/{link}", data={"decision": "approve"}),
    ):
        assert answer.status_code == 409
        assert "expired" in answer.text
    assert hooks.airflow.answered == {}


async def test_an_approval_link_opens_no_other_kind_of_gate(hooks: Hooks) -> None:
    link = await hooks.gate("webhook")
    for answer in (
        await hooks.client.get(f"/approvals/{link}"),
        await hooks.client.post(f"/approvals/{link}", data={"decision": "approve"}),
    ):
        assert answer.status_code == 404
    assert (hooks.airflow.answered, hooks.outcome()) == ({}, None)


# Webhooks that start a flow ---------------------------------------------------------------------------------


async def test_a_signed_call_starts_a_run_with_its_body(inbox: Hooks) -> None:
    body = {"id": "7", "title": "New", "tags": ["a"], "price": 3}
    answer = await inbox.send(json.dumps(body).encode())
    assert (answer.status_code, answer.json()) == (202, {"flow": "inbox", "run": "run-1"})
    assert inbox.airflow.triggered == [("flow__inbox", {"item": body})]


async def test_an_empty_body_is_an_empty_item(inbox: Hooks) -> None:
    assert (await inbox.send(b"")).status_code == 202
    assert inbox.airflow.triggered == [("flow__inbox", {"item": {}})]


async def test_no_signature(inbox: Hooks) -> None:
    answer = await inbox.client.post("/flows/inbox", content=b"{}")
    assert problem(answer) == (401, "the signature is missing, wrong, or too old")
    assert inbox.airflow.triggered == []


@pytest.mark.parametrize(
    ("secret", "later"),
    [("another", 0), (SECRET, -310), (SECRET, 600)],
    ids=["wrong", "old", "of tomorrow"],
)
async def test_a_signature_that_does_not_hold(inbox: Hooks, secret: str, later: float) -> None:
    assert (await inbox.send(b"{}", secret=secret, at=time.time() + later)).status_code == 401
    assert inbox.airflow.triggered == []


async def test_a_signature_of_another_body(inbox: Hooks) -> None:
    header = sign("m", b'{"title": "a"}', SECRET, at=time.time())
    answer = await inbox.client.post("/flows/inbox", content=b'{"title": "b"}', headers=header)
    assert answer.status_code == 401
    assert inbox.airflow.triggered == []


async def test_one_that_is_almost_too_old_is_not(inbox: Hooks) -> None:
    assert (await inbox.send(at=time.time() - 280)).status_code == 202


async def test_a_replay_is_refused_and_a_new_call_with_the_same_body_is_not(inbox: Hooks) -> None:
    now = time.time()
    assert (await inbox.send(at=now, message="m")).status_code == 202
    assert problem(await inbox.send(at=now, message="m")) == (409, REPEATED)
    assert (await inbox.send(at=now, message="n")).status_code == 202
    assert len(inbox.airflow.triggered) == 2


async def test_a_message_that_its_sender_repeats_starts_one_run(inbox: Hooks) -> None:
    assert (await inbox.send(at=time.time() - 200, message="m")).status_code == 202
    assert (await inbox.send(message="m")).status_code == 409
    assert len(inbox.airflow.triggered) == 1


async def test_one_message_may_go_to_two_flows(inbox: Hooks) -> None:
    make_flow(inbox.url, inbox.store, PING, slug="second", trigger={"webhook": "inbound"})
    for slug in ("inbox", "second"):
        assert (await inbox.send(to=slug, message="m")).status_code == 202
    assert len(inbox.airflow.triggered) == 2


async def test_nothing_is_remembered_of_calls_without_a_signature(inbox: Hooks) -> None:
    await inbox.send(secret="wrong")
    await inbox.send(b"nonsense")
    world = make_flow(inbox.url, inbox.store, PING, slug="another")
    assert world.sql("SELECT flow_message FROM webhook_calls") == []


async def test_a_call_of_long_ago_is_forgotten(inbox: Hooks) -> None:
    await inbox.send()
    world = make_flow(inbox.url, inbox.store, PING, slug="another")
    world.sql("UPDATE webhook_calls SET at = now() - interval '86401 s'")
    await inbox.send(b"{}")
    assert len(world.sql("SELECT flow_message FROM webhook_calls")) == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large(inbox: Hooks, chunked: bool) -> None:
    body = b'{"text": "' + b"x" * MOST_BYTES + b'"}'
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for start in range(0, len(body), 64_000):
            sent += 1
            yield body[start : start + 64_000]

    header = sign("m", body, SECRET, at=time.time())
    content = pieces() if chunked else body
    answer = await inbox.client.post("/flows/inbox", content=content, headers=header)
    assert problem(answer) == (413, f"the body is larger than {MOST_BYTES} bytes")
    assert inbox.airflow.triggered == []


async def test_a_body_of_just_the_size_is_taken(inbox: Hooks) -> None:
    start, end = b'{"id": "big", "text": "', b'"}'
    body = start + b"x" * (MOST_BYTES - len(start) - len(end)) + end
    assert len(body) == MOST_BYTES
    assert (await inbox.send(body)).status_code == 202


@pytest.mark.parametrize(
    ("body", "what"),
    [(b"nonsense", "the body is not JSON"), (b"[1]", "the body is not an object"),
     (b'"x"', "the body is not an object"), (b'{"a": Infinity}', "the body is not JSON"),
     (b"[" * 100_000, "the body is not JSON")],
)  # fmt: skip
async def test_a_body_that_is_no_item(inbox: Hooks, body: bytes, what: str) -> None:
    assert problem(await inbox.send(body)) == (400, what)
    assert inbox.airflow.triggered == []


async def test_a_body_that_is_no_text_has_no_signature_that_holds(inbox: Hooks) -> None:
    body, at = b"\xff", str(int(time.time()))
    digest = hmac.digest(SECRET.encode(), f"msg.{at}.".encode() + body, "sha256")
    signature = f"v1,{base64.b64encode(digest).decode()}"
    headers = {"webhook-id": "msg", "webhook-timestamp": at, "webhook-signature": signature}
    assert (await inbox.client.post("/flows/inbox", content=body, headers=headers)).status_code == 401
    assert inbox.airflow.triggered == []


async def test_an_item_that_airflow_could_not_keep_is_cleaned(inbox: Hooks) -> None:
    assert (await inbox.send(b'{"title": "a\\u0000b", "lone": "\\ud800", "n": 1e999}')).status_code == 202
    [(_, conf)] = inbox.airflow.triggered
    text = json.dumps(conf, ensure_ascii=False)
    assert "\x00" not in text
    assert text.encode()  # raises for half a surrogate pair


async def test_flows_that_take_no_webhook_look_as_if_there_were_none(inbox: Hooks) -> None:
    answers = [
        problem(await inbox.send(to=slug)) for slug in ("nothing-here", "closed", "off", "INBOX", "x" * 500)
    ]
    assert set(answers) == {(401, "the signature is missing, wrong, or too old")}
    assert inbox.airflow.triggered == []


async def test_what_is_wrong_with_the_set_up_is_not_for_strangers(inbox: Hooks) -> None:
    inbox.airflow.secrets.clear()
    assert problem(await inbox.send()) == (401, "the signature is missing, wrong, or too old")


async def test_airflow_is_away(inbox: Hooks) -> None:
    inbox.airflow.error = TransientError("Airflow answers 503 at 10.0.0.7")
    now = time.time()
    assert problem(await inbox.send(at=now)) == (503, NOT_NOW)
    inbox.airflow.error = None
    assert (await inbox.send(at=now)).status_code == 202  # it is the same call, and it was not done yet


async def test_there_is_no_documentation_to_look_around_in(hooks: Hooks) -> None:
    for path in ("/docs", "/redoc", "/openapi.json", "/"):
        assert (await hooks.client.get(path)).status_code == 404
