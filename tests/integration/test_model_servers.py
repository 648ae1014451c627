"""Servers that keep to the API in their own way: what they ignore, what they cannot take, where they break
off; and answers that are odd and right. The real SDK, engine and ledger.
"""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from pressroom.adapters.models.settings import Structured
from pressroom.domain.model import Prompt
from tests.support.model_desk import BODY, PAID, TITLE, ModelDesk, completion, note, raw

pytestmark = pytest.mark.integration

SHOWN = "Answer with one JSON object that follows this JSON schema"

IGNORED = {
    "keys of its own": '{"heading": "Hedges", "text": "Cut them in June."}',
    "prose": "Sure! **Hedges**: cut them in June.",
    "an empty object": "{}",
    "half of the keys": '{"title": "Hedges"}',
    "a list of lines": '["Hedges", "Cut them in June."]',
    "a fenced example": '```json\n{"key": "value"}\n```',
}


@pytest.mark.parametrize("answered", IGNORED.values(), ids=IGNORED)
def test_a_server_that_ignores_the_schema_is_shown_it_in_words_from_then_on(
    desk: ModelDesk, answered: str
) -> None:
    desk.answers(raw(completion(answered), times=1), raw(completion(note())))
    assert desk.write(desk.items(3), concurrency=1).done == 3
    assert [call[0] for call in desk.calls] == ["InvalidAnswer", "ok", "ok", "ok"]
    assert [SHOWN in entry["prompt"] for entry in desk.server.script.journal] == [False, True, True, True]
    # So do other processes and hosts.
    desk.write(desk.items(1), prompt=Prompt("note", "You write.", "Another.", 200))
    assert SHOWN in desk.server.script.journal[-1]["prompt"]
    assert len(desk.calls) == 5
    assert desk.spent == 5 * PAID


def test_one_answer_that_misses_a_rule_of_the_schema_teaches_nothing(desk: ModelDesk) -> None:
    desk.answers(raw(completion('{"title": "", "body": ""}'), times=1), raw(completion(note())))
    assert desk.write(desk.items(2), concurrency=1).done == 2
    assert not any(SHOWN in entry["prompt"] for entry in desk.server.script.journal)


@pytest.mark.parametrize("structured", get_args(Structured))
@pytest.mark.parametrize("system", ["You write.", ""])
def test_a_strict_template_gets_no_two_messages_of_one_role(
    desk: ModelDesk, structured: str, system: str
) -> None:
    """The server refuses a system role, and roles that do not alternate; the schema goes in words, too."""
    desk.server.script.update({"dialect": "vllm"})
    for number in range(2):
        prompt = Prompt("note", system, f"Write note {number}.", 400)
        assert desk.write(desk.items(1), prompt=prompt, structured=structured).done == 1
    assert [call[0] for call in desk.calls] == ["ok", "ok"]
    [[learned]] = desk.world.sql("SELECT learned FROM model_dialects")
    assert learned.get("system", True) is (not system)


WHOLE = json.dumps(completion(note()))
BROKEN: dict[str, dict[str, Any]] = {
    "nothing within the time": {"action": "hang"},
    "an answer that comes too late": {"action": "delay", "latency": 30},
    "an answer that breaks off": raw(None, body_text=WHOLE[:60], headers={"content-length": "4096"}),
    "an answer that breaks off at once": raw(None, body_text=" ", headers={"content-length": "4096"}),
}


def test_what_was_sent_and_not_answered_is_booked_at_its_bound(desk: ModelDesk) -> None:
    seen = desk.each(BROKEN, timeout_seconds=0.7)
    booked = {name: (one.error, one.booked, one.calls[0][2]) for name, one in seen.items()}
    assert booked == dict.fromkeys(BROKEN, ("UnknownOutcome", ["UnknownOutcome"], 200))
    assert desk.spent == sum(call[3] for call in desk.calls) > len(BROKEN) * PAID
    assert desk.held == (0, 0)
    assert desk.failures == []  # a later try writes them
    desk.answers(raw(completion(note())))
    everything = [key for [key] in desk.world.sql("SELECT id FROM clusters")]
    assert desk.write(everything).done == len(BROKEN)


ODD_AND_RIGHT: dict[str, Any] = {
    "no finish": completion(note(), finish=None),
    "finish eos": completion(note(), finish="eos"),
    "finish end_turn": completion(note(), finish="end_turn"),
    "garbage behind it": completion(note() + " }} ]\n<end>"),
    "a key twice": completion('{"title": "Draft", ' + note()[1:]),
    "two million characters on one line": completion(note(pad="x" * 2_000_000)),
    "levels beside it": completion(note()[:-1] + ', "deep": ' + "[" * 300 + "]" * 300 + "}"),
    "usage that is empty": completion(note(), usage={}),
    "an id that is null": completion(note(), id=None, created=None, object=None, model=None),
}


def test_an_answer_that_is_odd_and_right_is_taken(desk: ModelDesk) -> None:
    seen = desk.each(ODD_AND_RIGHT)
    assert {name: one.note for name, one in seen.items()} == dict.fromkeys(ODD_AND_RIGHT, (TITLE, BODY))
    assert {name: one.booked for name, one in seen.items()} == {key: ["ok"] for key in ODD_AND_RIGHT}


def test_an_answer_of_three_thousand_levels_is_asked_for_again(desk: ModelDesk) -> None:
    deep = note()[:-1] + ', "deep": ' + "[" * 3000 + "]" * 3000 + "}"
    desk.answers(raw(completion(deep), times=1), raw(completion(note())))
    assert desk.write(desk.items(1)).done == 1
    assert [call[0] for call in desk.calls] == ["InvalidAnswer", "ok"]
    assert "nested too deeply" in desk.server.script.journal[-1]["prompt"]
