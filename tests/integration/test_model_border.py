"""Whatever a provider answers becomes a note or one of our errors, and is in the books.

The real SDK, engine and ledger, against answers such as providers were seen to give.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pressroom.domain.errors import UnknownOutcome
from tests.support.model_desk import BODY, PAID, TITLE, USED, ModelDesk, completion, note, raw

pytestmark = pytest.mark.integration

RIGHT = (TITLE, BODY)
OK = [("ok", 100, 50, PAID)]


def part(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, **more}


THINKING = part("thinking", thinking=[part("text", text="hm")])

READABLE: dict[str, Any] = {
    "a list of thoughts and text": completion([THINKING, part("text", text=note())]),
    "a list of texts": completion([part("text", text=note()[:20]), part("text", text=note()[20:])]),
    "a list of plain strings": completion([note()[:9], note()[9:]]),
    "a list with text objects": completion([part("text", text={"value": note(), "annotations": []})]),
    "parts of another API": completion([part("reasoning", summary=[]), part("output_text", text=note())]),
    "one part, without a list": completion(part("text", text=note())),
    "the object itself": completion({"title": TITLE, "body": BODY}),
    "half an emoji in an ignored key": completion(note(note="\udc00x")),
    "half an emoji beside the answer": completion(note(), system_fingerprint="\ud83d"),
    "NUL in an ignored key": completion(note(note="a\x00b")),
    "an integer of 5,000 digits": completion(note()[:-1] + ', "n": ' + "9" * 5000 + "}"),
    "no numbers in ignored keys": completion(note()[:-1] + ', "n": NaN, "m": -Infinity, "k": 1e999}'),
    "a finish that nobody knows": completion(note(), finish="COMPLETE"),
    "a finish that is a number": completion(note(), finish=1),
    "a refusal that is null": completion(message={"content": note(), "refusal": None, "tool_calls": None}),
    "tool calls of the wrong type": completion(message={"content": note(), "tool_calls": "none"}),
    "a null among the choices": {**completion(note()), "choices": [None, *completion(note())["choices"]]},
    "an error that is null": completion(note(), error=None),
}


def test_an_answer_in_any_shape_is_read(desk: ModelDesk) -> None:
    seen = desk.each(READABLE)
    assert {name: one.note for name, one in seen.items()} == dict.fromkeys(READABLE, RIGHT)
    assert {name: one.calls for name, one in seen.items()} == dict.fromkeys(READABLE, OK)
    assert desk.spent == len(READABLE) * PAID
    assert desk.held == (0, 0)


def test_half_a_character_goes_and_the_rest_is_written(desk: ModelDesk) -> None:
    titles = {"Hedges \ud83d": "Hedges ", "\udc00Hedges": "Hedges", "He\x00dges": "Hedges"}
    titles["Oak \U0001f333"] = "Oak \U0001f333"  # both halves
    seen = desk.each({title: completion(note(title)) for title in titles})
    assert {title: one.note for title, one in seen.items()} == {
        title: (kept, BODY) for title, kept in titles.items()
    }
    assert desk.spent == len(titles) * PAID
    assert desk.world.sql("SELECT count(*) FROM ai_cache") == [(len(titles),)]


def test_half_a_character_in_the_bytes_of_an_answer_that_is_repaired(desk: ModelDesk) -> None:
    half = completion('{"title": "Hedges \ud83d"}')
    desk.answers({**raw(half), "times": 1}, raw(completion(note())))
    assert desk.write(desk.items(1)).done == 1
    assert desk.calls == [("InvalidAnswer", 100, 50, PAID), ("ok", 100, 50, PAID)]
    assert desk.spent == 2 * PAID


def test_an_article_about_escapes_and_tags_keeps_its_words(desk: ModelDesk) -> None:
    about = {
        "JSON in Postgres": r"Postgres refuses the escape \u0000 in jsonb.",
        "A backslash": r"In C, \\u0000 and \0 end a string.",
        "Thoughts": "A <think> tag and a </think> tag hold what <b>nobody</b> sees.",
        "Fences": 'Write ```json\n{"a": 1}\n``` for a block.',
    }
    seen = desk.each({title: completion(note(title, body)) for title, body in about.items()})
    assert {title: one.note for title, one in seen.items()} == {t: (t, body) for t, body in about.items()}


# What cannot be used is booked all the same ------------------------------------------------------------

DIGITS = '{"title": ' + "9" * 5000 + ', "body": "x"}'
UNUSABLE: dict[str, tuple[Any, str, int]] = {
    "no message": (completion(message=None, finish="content_filter", usage=None), "FilteredAnswer", 1),
    "a message that is a list": (completion(message=[note()]), "EmptyAnswer", 1),
    "a content that is a number": (completion(7), "EmptyAnswer", 1),
    "a title of 5,000 digits": (completion(DIGITS), "InvalidAnswer", 2),
    "only thoughts": (completion([THINKING]), "EmptyAnswer", 1),
    "a refusal in a part": (completion([part("refusal", refusal="No\x00 \ud800")]), "RefusedAnswer", 1),
    "keys that Postgres refuses": (
        completion('{"ti\\u0000tle": 1, "body": {"\\udc00": 1}}'),
        "InvalidAnswer",
        2,
    ),
    "SAFETY": (completion("", finish="SAFETY"), "FilteredAnswer", 1),
    "content_filter: SAFETY": (completion("", finish="content_filter: SAFETY"), "FilteredAnswer", 1),
    "sensitive": (completion("", finish="sensitive"), "FilteredAnswer", 1),
    "PROHIBITED_CONTENT": (completion("", finish="PROHIBITED_CONTENT"), "FilteredAnswer", 1),
    "RECITATION": (completion("", finish="RECITATION"), "FilteredAnswer", 1),
    "model_length": (completion(note()[:20], finish="model_length"), "TruncatedAnswer", 2),
    "max_tokens": (completion(note()[:20], finish="max_tokens"), "TruncatedAnswer", 2),
    "MAX_TOKENS": (completion(note()[:20], finish="MAX_TOKENS"), "TruncatedAnswer", 2),
}


def test_an_answer_that_cannot_be_used_is_paid_for_and_recorded(desk: ModelDesk) -> None:
    seen = desk.each({name: body for name, (body, _, _) in UNUSABLE.items()})
    assert {name: (one.error, one.booked) for name, one in seen.items()} == {
        name: (error, [error] * calls) for name, (_, error, calls) in UNUSABLE.items()
    }
    assert all(call[3] > 0 for call in desk.calls)
    assert desk.spent == sum(call[3] for call in desk.calls)
    assert desk.held == (0, 0)


BROKEN_OFF: dict[str, Any] = {
    "error": completion("", finish="error"),
    "an error in the choice": {
        **completion(""), "choices": [{"message": {"content": ""}, "error": {"code": 502, "message": "gone"}}]
    },
    "network_error": completion(note()[:20], finish="network_error"),
    "insufficient_system_resource": completion(note()[:20], finish="insufficient_system_resource"),
    "abort": completion("", finish="abort"),
}  # fmt: skip


def test_what_the_provider_breaks_off_is_paid_and_tried_again(desk: ModelDesk) -> None:
    seen = desk.each(BROKEN_OFF)
    assert {name: (one.error, one.calls) for name, one in seen.items()} == dict.fromkeys(
        BROKEN_OFF, ("TransientError", [("TransientError", 100, 50, PAID)])
    )
    assert desk.failures == []
    assert desk.spent == len(BROKEN_OFF) * PAID
    desk.answers(raw(completion(note())))
    everything = [key for [key] in desk.world.sql("SELECT id FROM clusters")]
    assert desk.write(everything).done == len(BROKEN_OFF)


# Usage ---------------------------------------------------------------------------------------------------

THOUGHT = "completion_tokens_details"
XAI = {
    "prompt_tokens": 10120, "completion_tokens": 1499, "total_tokens": 14428,
    "prompt_tokens_details": {"cached_tokens": 128}, THOUGHT: {"reasoning_tokens": 2809},
}  # fmt: skip
USAGES: dict[str, tuple[Any, int, int]] = {
    "thoughts beside the answer, in the total": (XAI, 10120, 4308),
    "thoughts in the total only": ({**USED, "total_tokens": 950}, 100, 850),
    "thoughts beside the answer, no total": (
        {"prompt_tokens": 100, "completion_tokens": 50, THOUGHT: {"reasoning_tokens": 70}}, 100, 120
    ),
    "thoughts within the answer": ({**USED, THOUGHT: {"reasoning_tokens": 40}}, 100, 50),
    "a prompt without its cached part": (
        {**USED, "total_tokens": 180, "prompt_tokens_details": {"cached_tokens": 30}}, 130, 50
    ),
    "floats": ({"prompt_tokens": 100.0, "completion_tokens": 50.4, "total_tokens": 150.4}, 100, 50),
    "texts": ({"prompt_tokens": "100", "completion_tokens": "50"}, 100, 50),
    "other names": ({"input_tokens": 100, "output_tokens": 50}, 100, 50),
    "the total and the prompt": ({"prompt_tokens": 100, "total_tokens": 150}, 100, 50),
    "details that are null": ({**USED, "prompt_tokens_details": None, THOUGHT: None}, 100, 50),
    "details that are a list": ({**USED, "prompt_tokens_details": [1]}, 100, 50),
    "cached more than there was": ({**USED, "prompt_tokens_details": {"cached_tokens": 900}}, 100, 50),
    "half of it": ({"prompt_tokens": 100, "completion_tokens": -1}, 100, 200),
}  # fmt: skip


def test_tokens_are_counted_however_they_are_said(desk: ModelDesk) -> None:
    cases = {name: completion(note(), usage=usage) for name, (usage, _, _) in USAGES.items()}
    seen = desk.each(cases, head_room_tokens=0)  # or what is not said would be booked with room for thoughts
    assert {name: one.tokens for name, one in seen.items()} == {n: (p, c) for n, (_, p, c) in USAGES.items()}
    # What comes from a cache costs the same here.
    assert desk.spent == sum(Decimal(p) / 1000 + Decimal(c) / 500 for _, p, c in USAGES.values())


WRITTEN: dict[str, dict[str, Any]] = {
    "OpenAI": {"prompt_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 300}},
    "LiteLLM": {
        "cache_creation_input_tokens": 300, "cache_read_input_tokens": 200,
        "prompt_tokens_details": {"cached_tokens": 200, "cache_creation_tokens": 300},
    },
    "Anthropic's own names": {"cache_creation_input_tokens": 300, "prompt_cache_hit_tokens": 200},
    "more than there are": {"prompt_tokens_details": {"cached_tokens": 700, "cache_write_tokens": 900}},
}  # fmt: skip


def test_what_goes_into_a_providers_cache_has_its_own_price(desk: ModelDesk) -> None:
    prices = {
        "input_cents_per_million": 1000, "cached_input_cents_per_million": 100,
        "cache_write_cents_per_million": 1250, "output_cents_per_million": 2000,
    }  # fmt: skip
    used = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
    answers = {name: completion(note(), usage={**used, **more}) for name, more in WRITTEN.items()}
    seen = desk.each(answers, prices=prices)
    exact = Decimal("0.5") + Decimal("0.02") + Decimal("0.375") + Decimal("0.1")
    cents = {name: one.calls[0][3] for name, one in seen.items()}
    assert cents.pop("more than there are") == Decimal("0.07") + Decimal("0.375") + Decimal("0.1")
    assert set(cents.values()) == {exact}


def test_usage_that_says_nothing_is_booked_at_the_bound(desk: ModelDesk) -> None:
    pairs: list[Any] = [(None, None), (-1, -50), (True, False), (10**30, 10**30), ([1], {})]
    nothing: list[Any] = [None, [], {}, "much"]
    nothing += [{"prompt_tokens": prompt, "completion_tokens": answered} for prompt, answered in pairs]
    seen = desk.each({str(usage): completion(note(), usage=usage) for usage in nothing})
    assert {name: one.booked for name, one in seen.items()} == {str(usage): ["ok"] for usage in nothing}
    for name, one in seen.items():
        [(_, prompt, answered, cents)] = one.calls
        assert (10 < prompt < 400, answered) == (True, 200), name
        assert cents == Decimal(prompt) / 1000 + Decimal(200) / 500
    assert desk.spent == sum(call[3] for call in desk.calls)


# Errors in a success, and calls without an answer ---------------------------------------------------------

LONG = "Rate limited. " + "x" * 250 + " Add your own key."
WITHIN: list[tuple[Any, str]] = [
    ({"code": 402, "message": "Insufficient credits. Add more"}, "OutOfMoney"),
    ({"code": 401, "message": "User not found."}, "ConfigurationError"),
    ({"code": 403, "message": "Your input was flagged", "metadata": {"reasons": ["x"]}}, "FilteredAnswer"),
    ({"code": 429, "message": LONG}, "TransientError"),
    ({"code": 502, "message": "Provider returned error"}, "ServiceDown"),
    ({"message": "internal"}, "ServiceDown"),
    ("a text", "ServiceDown"),
]


def test_an_error_within_a_success_is_read_by_its_code(desk: ModelDesk) -> None:
    seen = desk.each({str(number): {"error": error} for number, (error, _) in enumerate(WITHIN)})
    assert [one.error for one in seen.values()] == [outcome for _, outcome in WITHIN]
    for one, (error, _) in zip(seen.values(), WITHIN, strict=True):
        assert "ChatCompletion(" not in one.shown
        assert (error if isinstance(error, str) else error["message"]) in one.shown


def test_a_success_that_is_no_completion_is_tried_again(desk: ModelDesk) -> None:
    texts = ["", "<html>sk-test-12345678</html>", "data: {}\n\n", "[" * 100_000, '{"n": ' + "9" * 5000 + "}"]
    bodies: list[Any] = [None, [], {}, "text", {"choices": []}, {"choices": [None]}, {"choices": {}}]
    cases: dict[str, Any] = {str(body): raw(body) for body in bodies}
    cases |= {text[:20]: {"action": "raw", "body_text": text, "media_type": "text/html"} for text in texts}
    for name, one in desk.each(cases).items():
        assert (one.error, one.calls) == ("TransientError", [("TransientError", 0, 0, 0)]), name
        assert "sk-test" not in one.shown


def test_no_completion_that_says_what_it_used_is_paid(desk: ModelDesk) -> None:
    desk.answers(raw({"choices": [], "usage": USED}))
    desk.write(desk.items(1))
    assert desk.calls == [("TransientError", 100, 50, PAID)]
    assert desk.spent == PAID


def test_a_call_that_was_not_answered_in_time_is_booked_at_its_bound(desk: ModelDesk) -> None:
    desk.answers({"action": "hang"})
    report = desk.write(desk.items(2), timeout_seconds=0.5)
    assert [type(error) for error in report.waiting] == [UnknownOutcome] * 2
    assert "no answer within 0.5 s (the connection's timeout_seconds)" in str(report.waiting[0])
    assert [(outcome, answered) for outcome, _, answered, _ in desk.calls] == [("UnknownOutcome", 200)] * 2
    assert desk.spent == sum(call[3] for call in desk.calls) > Decimal("0.8")
    assert desk.held == (0, 0)


def test_a_server_that_is_away_costs_nothing(desk: ModelDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    away = desk.settings().model_copy(update={"base_url": "http://127.0.0.1:9/v1"})
    monkeypatch.setattr(desk, "settings", lambda **extra: away)
    assert len(desk.write(desk.items(1)).waiting) == 1
    assert desk.spent == 0


# Text fit for the database ---------------------------------------------------------------------------------


def test_a_servers_words_may_hold_what_postgres_does_not(desk: ModelDesk) -> None:
    right = raw(completion(note()))
    for status in (400, 422, 500, 429):
        for text in ("bad char \x00 in prompt", "bad char \ud83d in prompt", "\udc00\x00"):
            keys = desk.items(4)
            refusal = raw({"error": {"message": text, "type": "x"}}, status)
            others = [{**right, "match": f"note {key}."} for key in keys[::2]]
            desk.answers(*others, refusal)
            before = len(desk.events)
            report = desk.write(keys)
            assert report.done == 2
            assert report.failed + len(report.waiting) == 2
            assert desk.held == (0, 0)
            shown = [message for _, message in desk.events[before:]]
            assert len(shown) == 2
            assert all("\x00" not in message for message in shown)
