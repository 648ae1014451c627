"""Which object of an answer counts, and what a model is told of one that cannot be used."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from pressroom.domain.json_answers import find_objects
from pressroom.domain.model import Prompt
from tests.support.model_desk import BODY, TITLE, ModelDesk, completion, note, raw

pytestmark = pytest.mark.integration

DRAFT = note("Draft title", "first try")
FINAL = note()


CHANNELS = f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{FINAL}"
THOUGHTS = {
    "no opening tag": f"Let me draft: {DRAFT} hmm.\n</think>\n\n{FINAL}",
    "think": f"<think>{DRAFT}</think>{FINAL}",
    "thinking": f"<thinking>{DRAFT}</thinking>\n{FINAL}",
    "thought": f"<thought>\n{DRAFT}\n</thought>{FINAL}",
    "Magistral": f"[THINK]{DRAFT}[/THINK]{FINAL}",
    "gpt-oss": CHANNELS,
    "gpt-oss without its marks": f"analysis{DRAFT}assistantfinal{FINAL}",
    "first idea, final answer": f"First idea: {DRAFT}. No, better. Final answer: {FINAL}",
    "twice": f"<think>{DRAFT}</think>Hm.<think>{DRAFT}</think>{FINAL}",
    "an object that is no draft": f'<think>{{"a": {{"b": 1}}}} {{x}} </think>```json\n{FINAL}\n```',
    "thoughts afterwards": f"{FINAL}\n<think>Did I follow it? {DRAFT}</think>",
    "thoughts that stay open afterwards": f"{FINAL}\n<think>Now {DRAFT}",
    "a thought about the tag": f"I close with </think> soon: {DRAFT}</think>{FINAL}",
    "a list around it": f"[{FINAL}]",
    "fences and prose": f"Sure:\n```json\n{FINAL}\n```\nAnything else?",
    "a mark of the order of bytes": f"\ufeff{FINAL}",
}


def test_the_answer_is_what_stands_after_the_thoughts(desk: ModelDesk) -> None:
    seen = desk.each({name: completion(text) for name, text in THOUGHTS.items()}, head_room_tokens=0)
    assert {name: one.note for name, one in seen.items()} == dict.fromkeys(THOUGHTS, (TITLE, BODY))
    assert {name: one.booked for name, one in seen.items()} == {name: ["ok"] for name in THOUGHTS}


def test_thoughts_that_nothing_closes_are_no_answer(desk: ModelDesk) -> None:
    desk.answers(raw(completion(f"<think>maybe {DRAFT} or"), times=1), raw(completion(FINAL)))
    assert desk.write(desk.items(1)).done == 1
    assert desk.written == [(TITLE, BODY)]
    assert [call[0] for call in desk.calls] == ["InvalidAnswer", "ok"]


WRAPPED = {
    "its type's name": f'{{"Note": {FINAL}}}',
    "answer": f'{{"answer": {FINAL}}}',
    "beside plain values": f'{{"status": "ok", "result": {FINAL}}}',
    "a tool call in words": f'{{"name": "Note", "arguments": {FINAL}}}',
    "encoded twice": json.dumps(FINAL),
    "encoded within": json.dumps({"answer": FINAL}),
}


def test_a_wrapped_answer_is_unwrapped(desk: ModelDesk) -> None:
    seen = desk.each({name: completion(text) for name, text in WRAPPED.items()})
    assert {name: one.note for name, one in seen.items()} == dict.fromkeys(WRAPPED, (TITLE, BODY))


MALFORMED = {
    "a comma at the end": ('{"title": "Hedges", "body": "Cut.",}', "Expecting property name"),
    "a comment": ('{"title": "Hedges", // the title\n "body": "Cut."}', "the title"),
    "quotes within": ('{"title": "The "best" hedge", "body": "Cut."}', "best"),
    "no end": ('{"title": "Hedges", "body": "Cut."', "Expecting ',' delimiter"),
    "single quotes": ("{'title': 'Hedges', 'body': 'Cut.'}", "double quotes"),
    "an object within a broken one": ('{"title": {"a": 1}, "body": "Cut.",}', "malformed"),
}


def test_a_malformed_answer_is_told_what_is_malformed(desk: ModelDesk) -> None:
    for name, (text, told) in MALFORMED.items():
        desk.server.script.journal.clear()
        desk.answers(raw(completion(text), times=1), raw(completion(FINAL)))
        assert desk.write(desk.items(1)).done == 1, name
        [_, second] = desk.server.script.journal
        _, _, correction = second["prompt"].partition("That answer cannot be used:")
        assert told in correction, name
        assert "the JSON is malformed at character" in correction, name


def test_what_the_schema_misses_is_told_by_its_place(desk: ModelDesk) -> None:
    desk.answers(raw(completion('{"title": ""}'), times=1), raw(completion(FINAL)))
    assert desk.write(desk.items(1)).done == 1
    correction = desk.server.script.journal[-1]["prompt"]
    assert "- title: String should have at least 1 character" in correction
    assert "- body: Field required" in correction


def test_what_groq_refuses_is_repaired(desk: ModelDesk) -> None:
    def missed(message: str, written: str, code: str = "json_validate_failed") -> dict[str, Any]:
        detail = {"message": message, "type": "invalid_request_error", "code": code}
        return raw({"error": {**detail, "failed_generation": written}}, 400, times=1)

    words = "Generated JSON does not match the expected schema. Please adjust your prompt."
    cases = [
        missed("Failed to validate JSON. See 'failed_generation' for more details.", '{"title": '),
        missed(words, '{"title": 3}'),
        missed("Failed to call a function.", "<function=note>{", "tool_use_failed"),
        missed("Failed to generate JSON.", ""),
    ]
    for rule in cases:
        desk.answers(rule, raw(completion(FINAL)))
        before = len(desk.calls)
        assert desk.write(desk.items(1)).done == 1
        assert [call[0] for call in desk.calls[before:]] == ["InvalidAnswer", "ok"]
        assert all(call[3] > 0 for call in desk.calls)  # what the model wrote in vain is not free
    [[learned]] = desk.world.sql("SELECT learned FROM model_dialects")
    assert learned == {}


def test_what_groq_refuses_and_is_right_is_taken(desk: ModelDesk) -> None:
    detail = {"message": "Failed", "code": "json_validate_failed", "failed_generation": f"Here: {FINAL}"}
    desk.answers(raw({"error": detail}, 400))
    assert desk.write(desk.items(1)).done == 1
    assert desk.written == [(TITLE, BODY)]


@pytest.mark.parametrize(
    "text",
    ["{" * 200_000, "{ " * 90_000, '{"a":' * 200_000, '{"a": [' * 90_000,
     '{"a' * 100_000, "{}" * 90_000, '{"x": 1} ' * 5_000],
    ids=lambda text: text[:9],
)  # fmt: skip
def test_braces_take_time_in_proportion(text: str) -> None:
    began = time.process_time()
    find_objects(text)
    assert time.process_time() - began < 2


# Tools ----------------------------------------------------------------------------------------------------


def called(*calls: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, "tool_calls": list(calls)}
    return completion(message=message, finish="tool_calls")


def call(arguments: Any, name: str = "search", **more: Any) -> dict[str, Any]:
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


TOOLS: dict[str, Any] = {
    "text": called(call('{"words": "a"}')),
    "an object": called(call({"words": "a"})),
    "encoded twice": called(call('"{\\"words\\": \\"a\\"}"')),
    "type null": called(call('{"words": "a"}', type=None)),
    "a name in a namespace": called(call('{"words": "a"}', name="functions.search")),
    "no type": called({"function": {"name": "search", "arguments": '{"words": "a"}'}}),
    "not a list": completion(message={"content": None, "tool_calls": call('{"words": "a"}')}),
    "as it was before": completion(
        message={"content": "", "function_call": {"name": "search", "arguments": '{"words": "a"}'}}
    ),
    "fences": called(call('```json\n{"words": "a"}\n```')),
}


def test_a_tool_call_in_any_shape_is_read(desk: ModelDesk) -> None:
    for name, body in TOOLS.items():
        desk.answers(raw(body))
        assert desk.choose(name) == [("search", "a")], name
    assert {call[0] for call in desk.calls} == {"ok"}
    assert len(desk.calls) == len(TOOLS)


def test_a_tool_call_without_arguments_is_told_so(desk: ModelDesk) -> None:
    for number, arguments in enumerate([None, "", "nonsense", 7]):
        desk.answers(raw(called(call(arguments)), times=1), raw(called(call('{"words": "a"}'))))
        assert desk.choose(str(number)) == [("search", "a")]
    assert [call[0] for call in desk.calls] == ["InvalidAnswer", "ok"] * 4


# The cache --------------------------------------------------------------------------------------------------


def test_an_answer_is_kept_for_its_server_and_its_options(desk: ModelDesk) -> None:
    prompt = Prompt("note", "", "The same.")
    desk.answers(raw(completion(FINAL)))
    changes: list[dict[str, Any]] = [
        {}, {"reasoning": "low"}, {"reasoning": "high"}, {"options": {"seed": 1}}, {"options": {"seed": 2}}
    ]  # fmt: skip
    for changed in changes:
        for _ in range(2):
            assert desk.write(desk.items(1), prompt=prompt, **changed).done == 1
    assert [call[0] for call in desk.calls] == ["ok", "cached"] * len(changes)


# A pause that the server asks for ---------------------------------------------------------------------


def test_a_pause_holds_the_rest_of_the_batch_without_limits_too(desk: ModelDesk) -> None:
    body = {"error": {"message": "Rate limit reached. Please try again in 1m38.2s.", "code": "rate_limit"}}
    desk.answers(raw(body, 429))
    report = desk.write(desk.items(20), concurrency=2)
    assert len(report.waiting) == 20
    assert len(desk.server.script.journal) <= 3
    assert report.waiting[0].retry_after == pytest.approx(98.2)
    assert all(90 < (error.retry_after or 0) < 99 for error in report.waiting)
    assert desk.held == (0, 0)
