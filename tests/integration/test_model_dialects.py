"""Each provider's dialect is learned in the first call, and known to all workers afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pressroom.adapters.models.dialect import ProcessDialects, described, known_fields
from pressroom.adapters.models.openai_text import ROOM_TO_THINK, OpenAIText
from pressroom.domain.model import Message, ModelReply, ModelRequest, MoreRoomNeeded, Prompt
from tests.support.model_desk import ModelDesk, completion, note, raw
from tests.support.provider_dialects import PROVIDERS

pytestmark = pytest.mark.integration


def learned(desk: ModelDesk) -> dict[str, Any]:
    [[known]] = desk.world.sql("SELECT learned FROM model_dialects")
    return dict(known)


LEARNED: dict[str, tuple[dict[str, Any], int]] = {
    "openai_reasoning": (
        {"token_limit": "max_completion_tokens", "temperature": False, "head_room": ROOM_TO_THINK}, 1
    ),
    "anthropic": ({"temperature": False, "shows_schema": True}, 1),
    "mistral": ({}, 0),
    "deepseek": ({"structured": "json_object", "head_room": ROOM_TO_THINK}, 1),
    "kimi": ({"temperature": False}, 0),
    "groq": ({}, 1),
    "gemini": ({"head_room": ROOM_TO_THINK}, 1),
    "xai": ({"head_room": ROOM_TO_THINK}, 1),
    "openrouter": ({"head_room": ROOM_TO_THINK}, 1),
    "azure": (
        {"structured": "json_object", "token_limit": "max_completion_tokens", "head_room": ROOM_TO_THINK}, 1
    ),
    "vllm": ({"system": False, "most_total": 2040, "head_room": ROOM_TO_THINK}, 0),
    "lm_studio": ({}, 0),
}  # fmt: skip


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_dialect_is_learned_once_for_all_workers(desk: ModelDesk, provider: str) -> None:
    known, wasted = LEARNED[provider]
    desk.server.script.update({"dialect": provider})
    prompt = Prompt("note", "You write.", "Write a note.", max_tokens=600)
    asked = [Prompt(prompt.name, prompt.system, f"{prompt.user} {n}", 600) for n in range(3)]
    for one in asked:
        assert desk.write(desk.items(4), prompt=one).done == 4
    assert ("Draft", "a draft") not in desk.written
    outcomes = [call[0] for call in desk.calls if call[0] != "cached"]
    assert len(outcomes) - outcomes.count("ok") == wasted
    for name, value in known.items():
        if name == "most_total":
            assert abs(learned(desk)[name] - value) < 300
        else:
            assert learned(desk)[name] == value
    assert set(learned(desk)) == set(known)
    # Later runs, in other processes, ask rightly at once.
    desk.server.script.journal.clear()
    assert desk.write(desk.items(4), prompt=Prompt("note", "You write.", "Write another.", 600)).done == 4
    assert [entry["action"] for entry in desk.server.script.journal if entry["action"] != "answer"] == []


@pytest.mark.parametrize("provider", ["openai_reasoning", "deepseek", "anthropic", "mistral"])
def test_cents_are_those_of_the_providers_usage(desk: ModelDesk, provider: str) -> None:
    desk.server.script.update({"dialect": provider})
    assert desk.write(desk.items(5)).done == 5
    used = [entry["usage"] for entry in desk.server.script.journal if entry.get("usage")]
    exact = sum(
        Decimal(usage["prompt_tokens"]) / 1000 + Decimal(usage["completion_tokens"]) / 500 for usage in used
    )
    assert desk.spent == exact
    assert desk.held == (0, 0)


def refusing(message: str, *, status: int = 400, param: str | None = None) -> dict[str, Any]:
    return raw(
        {"error": {"message": message, "type": "invalid_request_error", "param": param}}, status, times=1
    )


TOO_LARGE = (
    "max_tokens is too large: 12000. This model supports at most 300 completion tokens, whereas you"
    " provided 12000."
)
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("`temperature` is deprecated for this model.", {"temperature": False}, "no temperature"),
    ("invalid temperature: only 1 is allowed for this model", {"temperature": False}, "no temperature"),
    ("temperature: Extra inputs are not permitted", {"temperature": False}, "no temperature"),
    ("Der Parameter temperature wird nicht akzeptiert", {"temperature": False}, "no temperature"),
    ("System role not supported", {"system": False}, "no system role"),
    ("developer instructions: the role system is not enabled for this model", {"system": False}, ""),
    (TOO_LARGE, {"most_tokens": 300}, "at most 300 tokens"),
    ("Range of max_tokens should be [1, 512]", {"most_tokens": 512}, ""),
    ("max_tokens: 600 > 450, which is the maximum allowed number of output tokens: up to 450",
     {"most_tokens": 450}, ""),
    ("`max_tokens` must be less than or equal to `256`", {"most_tokens": 256}, ""),
    ("json_schema is not available", {"structured": "json_schema_basic"}, "JSON by json_schema_basic"),
]  # fmt: skip


def test_a_parameter_is_known_by_its_name_in_whatever_words(desk: ModelDesk) -> None:
    prompt = Prompt("note", "You write.", "Write.", max_tokens=600)
    for number, (message, known, shown) in enumerate(REFUSED):
        desk.answers(refusing(message), raw(completion(note())))
        changed = Prompt("note", prompt.system, f"{prompt.user} {number}", 600)
        assert desk.write(desk.items(1), prompt=changed).done == 1, message
        assert learned(desk) == known
        assert shown in described(learned(desk))
        assert desk.calls[-1][0] == "ok"
        desk.world.sql("DELETE FROM model_dialects")


TPM = "Request too large for model `m` on tokens per minute (TPM): Limit 400, Requested 720"


@pytest.mark.parametrize("status", [413, 429])
def test_a_limit_of_a_minute_that_one_request_exceeds_is_obeyed(desk: ModelDesk, status: int) -> None:
    desk.answers(refusing(TPM, status=status), raw(completion(note())))
    assert desk.write(desk.items(3), prompt=Prompt("note", "", "Write.", 600)).done == 3
    assert 200 < learned(desk)["most_total"] < 400
    assert {call[0] for call in desk.calls} <= {"ok", "cached"}


def test_what_a_call_learned_before_it_failed_is_kept_by_the_next_that_gets_through(desk: ModelDesk) -> None:
    down = {**raw({"error": {"message": "down"}}, 500), "times": 1}
    desk.answers(refusing("`temperature` is deprecated for this model."), down, raw(completion(note())))
    report = desk.write(desk.items(3), concurrency=1)
    assert (report.done, len(report.waiting)) == (2, 1)
    assert learned(desk) == {"temperature": False}


def test_an_answer_that_ignores_the_tools_is_paid_at_its_bound_when_it_says_no_usage(desk: ModelDesk) -> None:
    ignored = raw(completion("All is well.", usage=None), times=1)
    desk.answers(ignored, raw(completion('{"calls": [{"tool": "search", "arguments": {"words": "a"}}]}')))
    assert desk.choose("Look it up.") == [("search", "a")]
    [(outcome, prompt, answered, _)] = desk.calls
    assert (outcome, answered) == ("ok", 1024 + 50)
    assert prompt > 100


def test_a_name_in_the_words_of_another_refusal_teaches_nothing(desk: ModelDesk) -> None:
    desk.answers(raw({"error": {"message": "we dislike your prompt on body temperature"}}, 400))
    assert desk.write(desk.items(1)).failed == 1
    assert desk.world.sql("SELECT * FROM model_dialects") == []
    desk.answers(raw(completion(note())))
    desk.write(desk.items(1))
    assert "temperature" in desk.server.script.journal[-1]["parameters"]


def test_another_server_under_the_same_connection_is_another_dialect(desk: ModelDesk) -> None:
    desk.server.script.update({"dialect": "kimi"})
    desk.write(desk.items(1))
    assert learned(desk) == {"temperature": False}
    desk.world.sql("UPDATE model_dialects SET server = 'https://elsewhere.example/v1'")
    desk.server.script.update({"dialect": None})
    desk.write(desk.items(2), prompt=Prompt("note", "", "Another."))
    assert "temperature" in desk.server.script.journal[-1]["parameters"]


def test_what_is_kept_and_no_longer_understood_is_left_aside(desk: ModelDesk) -> None:
    desk.write(desk.items(1))
    strange = '{"structured": "yaml", "temperature": 3, "head_room": "much", "most_tokens": -1, "gone": 1}'
    desk.world.sql("UPDATE model_dialects SET learned = %s::jsonb", strange)
    assert desk.write(desk.items(1), prompt=Prompt("note", "", "Another.")).done == 1


# Settings -------------------------------------------------------------------------------------------------


def test_null_sends_no_temperature_and_reasoning_is_sent(desk: ModelDesk) -> None:
    desk.write(desk.items(1), temperature=None, reasoning="low", head_room_tokens=1000)
    [entry] = desk.server.script.journal
    assert "temperature" not in entry["parameters"]
    assert "reasoning_effort" in entry["parameters"]


def test_a_refused_effort_steps_down(desk: ModelDesk) -> None:
    text = "Unsupported value: 'reasoning_effort' does not support 'none' with this model."
    desk.answers(refusing(text, param="reasoning_effort"), raw(completion(note())))
    assert desk.write(desk.items(1), reasoning="none").done == 1
    assert learned(desk) == {"reasoning": "minimal"}


def test_an_effort_is_a_step_below_its_own_setting_only(desk: ModelDesk) -> None:
    text = "Unsupported value: 'reasoning_effort' does not support 'none' with this model."
    desk.answers(refusing(text, param="reasoning_effort"), raw(completion(note())))
    desk.write(desk.items(1), reasoning="none")
    # Later the setting is taken out of the connection.
    desk.write(desk.items(1))
    assert "reasoning_effort" not in desk.server.script.journal[-1]["parameters"]
    known = {"reasoning": "minimal"}
    assert known_fields(known, desk.settings(reasoning="none")) == known
    for effort in ("low", "high", None):
        assert known_fields(known, desk.settings(reasoning=effort)) == {}
        assert known_fields({"reasoning": ""}, desk.settings(reasoning=effort)) == {"reasoning": ""}


# Room to think --------------------------------------------------------------------------------------------


def thinking(tokens: int) -> dict[str, Any]:
    usage = {
        "prompt_tokens": 100, "completion_tokens": tokens,
        "completion_tokens_details": {"reasoning_tokens": tokens},
    }  # fmt: skip
    return {**raw(completion("", finish="length", usage=usage)), "times": 1}


def test_thoughts_that_leave_no_room_get_more_at_once(desk: ModelDesk) -> None:
    desk.answers(thinking(200), thinking(4296), raw(completion(note())))
    assert desk.write(desk.items(1)).done == 1
    assert [call[0] for call in desk.calls] == ["TruncatedAnswer", "TruncatedAnswer", "ok"]
    assert learned(desk)["head_room"] == 2 * 4296
    assert desk.spent == Decimal("0.3") + Decimal(200 + 4296 + 50) / 500


def test_an_empty_answer_at_the_limit_is_one_that_was_cut_off(desk: ModelDesk) -> None:
    silent = raw(completion("", usage={"prompt_tokens": 100, "completion_tokens": 200}), times=1)
    desk.answers(silent, raw(completion(note())))
    assert desk.write(desk.items(1)).done == 1
    assert [call[0] for call in desk.calls] == ["TruncatedAnswer", "ok"]


def test_a_long_answer_is_asked_for_with_twice_its_room(desk: ModelDesk) -> None:
    cut = raw(completion(note()[:20], finish="length", usage={"prompt_tokens": 1, "completion_tokens": 200}))
    desk.answers({**cut, "times": 1}, raw(completion(note())))
    assert desk.write(desk.items(1)).done == 1
    assert learned(desk) == {}


def test_a_cap_knows_the_room_for_thoughts(desk: ModelDesk) -> None:
    desk.answers(thinking(200), raw(completion(note())))
    desk.write(desk.items(1))
    report = desk.write(desk.items(1), prompt=Prompt("note", "", "Another.", 200), cap_cents=5)
    assert report.done == 0
    assert "cap" in report.reason  # 4,296 tokens may cost 8.6 cents


async def test_a_call_that_waited_for_the_first_sends_no_more_than_is_held(desk: ModelDesk) -> None:
    desk.server.script.update({"dialect": "openai_reasoning"})
    request = ModelRequest([Message("user", "Write.")], max_tokens=200, held_tokens=200)
    async with OpenAIText(desk.settings(), dialects=ProcessDialects()) as model:
        calls = (model.complete(request) for _ in range(3))
        first, *others = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(first, ModelReply)
        assert [type(other) for other in others] == [MoreRoomNeeded] * 2
        more = replace(request, held_tokens=await model.most_tokens(request))
        assert (await model.complete(more)).text


def test_a_limit_among_the_options_is_the_one_that_a_cap_counts(desk: ModelDesk) -> None:
    report = desk.write(desk.items(1), options={"max_completion_tokens": 20000}, cap_cents=5)
    assert report.done == 0
    assert "cap" in report.reason


def test_given_head_room_is_sent_from_the_first_call_on(desk: ModelDesk) -> None:
    desk.server.script.update({"dialect": "openai_reasoning"})
    assert desk.write(desk.items(3), head_room_tokens=3000).done == 3
    assert [call[0] for call in desk.calls] == ["ok"] * 3
