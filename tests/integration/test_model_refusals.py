"""Whom a provider's refusal concerns: the set-up, one item, or the moment.

The real SDK, engine and ledger, against refusals such as providers were seen to give.
"""

from __future__ import annotations

from typing import Any

import pytest

from pressroom.domain.errors import ConfigurationError
from pressroom.domain.model import Prompt
from tests.support.model_desk import ModelDesk, completion, note, raw
from tests.support.provider_dialects import PROVIDERS

pytestmark = pytest.mark.integration


def refusal(status: int, message: Any, **more: Any) -> dict[str, Any]:
    return raw({"error": {"message": message, **more}}, status)


GOOGLES_KEY = "API key not valid. Please pass a valid API key."
SETUP: dict[str, dict[str, Any]] = {
    "Gemini, a wrong key": raw(
        [{"error": {"code": 400, "message": GOOGLES_KEY, "status": "INVALID_ARGUMENT"}}], 400
    ),
    "Gemini, an expired key": refusal(400, "API key expired. Please renew the API key.", code=400),
    "a key, by the reason": refusal(400, "Bad", details=[{"reason": "API_KEY_INVALID"}]),
    "Anthropic, no money": refusal(
        400, "Your credit balance is too low to access the Anthropic API.", type="invalid_request_error"
    ),
    "DashScope, no money": refusal(400, "Access denied, your account is in good standing?", code="Arrearage"),
    "Moonshot, no money": refusal(429, "Your account is", type="exceeded_current_quota_error"),
    "xAI, no money": raw(
        {
            "code": "8",
            "error": "Your team has either used all available credits or reached its monthly limit.",
        },
        429,
    ),
    "Zhipu, no money": refusal(429, "余额不足或无可用资源包,请充值。", code="1113"),
    "OpenAI, no money": refusal(429, "You exceeded your current quota.", code="insufficient_quota"),
    "OpenRouter, no model": refusal(400, "foo/bar is not a valid model ID", code=400),
    "OpenRouter, no endpoint": refusal(404, "No endpoints found for foo/bar.", code=404),
    "Mistral, no model": raw(
        {"object": "error", "message": "Invalid model: foo", "type": "invalid_model"}, 400
    ),
    "Groq, a retired model": refusal(
        400, "The model `x` has been decommissioned and is no longer supported.", code="model_decommissioned"
    ),
    "a model that is gone": refusal(410, "This model was shut down."),
    "OpenAI, another endpoint": refusal(400, "This model is only supported in v1/responses."),
    "DashScope, streams only": refusal(400, "This model only support stream mode, please enable the stream"),
    "Qwen, thinking": refusal(400, "parameter.enable_thinking must be set to false for non-streaming calls"),
    "an account that is closed": refusal(403, "Your account has been suspended for violating our policies"),
    "a region": refusal(403, "Country, region, or territory not supported"),
    "OpenRouter quotes a provider": refusal(
        400,
        "Provider returned error",
        code=400,
        metadata={"raw": '{"error": {"message": "Invalid API key"}}'},
    ),
}


def test_a_wrong_setup_stops_at_once_and_gives_no_item_up(desk: ModelDesk) -> None:
    keys = desk.items(40)
    for name, rule in SETUP.items():
        desk.answers(rule)
        before = len(desk.calls)
        with pytest.raises(ConfigurationError) as caught:
            desk.write(keys, concurrency=2)
        assert len(desk.calls) - before <= 2, name
        assert "\n" not in str(caught.value)
        assert "connection 'text'" in str(caught.value)
        assert not {"{", "["} & set(str(caught.value)), name  # words, and no body as it came
    assert desk.failures == []
    assert [kind for kind, _ in desk.events] == ["setup_wrong"] * len(SETUP)
    assert desk.held == (0, 0)
    assert desk.spent == 0
    desk.answers(raw(completion(note())))
    assert desk.write(keys).done == 40


@pytest.mark.parametrize("provider", PROVIDERS)
def test_forty_items_cost_a_call_or_few_and_are_written_when_it_is_mended(
    desk: ModelDesk, provider: str
) -> None:
    """A wrong key, no money, a model that is gone, in the provider's own words."""
    script = desk.server.script
    script.update({"dialect": provider})
    keys = desk.items(40)
    for trouble in PROVIDERS[provider]().troubles:
        script.update({"trouble": trouble})
        before, told = len(script.journal), len(desk.events)
        with pytest.raises(ConfigurationError, match="connection 'text'"):
            desk.write(keys, concurrency=8)
        assert len(script.journal) - before == 1, trouble
        assert [kind for kind, _ in desk.events[told:]] == ["setup_wrong"], trouble
    assert desk.failures == []
    assert desk.held == (0, 0)
    assert desk.spent == 0
    script.update({"trouble": ""})
    assert desk.write(keys, prompt=Prompt("note", "You write.", "Write.", 600)).done == 40
    # The key is revoked while the model is in use: no more than the calls in work are refused.
    before = len(script.journal)
    script.update({"trouble": "key"})
    with pytest.raises(ConfigurationError):
        desk.write(desk.items(40), prompt=Prompt("note", "You write.", "Write another.", 600), concurrency=8)
    assert 0 < len(script.journal) - before <= 8


def test_a_refusal_that_the_first_items_share_is_one_of_the_setup(desk: ModelDesk) -> None:
    unknown = [
        refusal(400, "Something in this request is not what we like. Request id: req_011CQ"),
        raw({"detail": [{"loc": ["body", "frobnicate"], "msg": "value is not a valid thing"}]}, 422),
        refusal(421, "Misdirected"),
        refusal(
            413, "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7512"
        ),
        refusal(429, "Request too large for m in organization o: Limit 30000, Requested 41234."),
        refusal(400, "This model's maximum context length is 16 tokens"),
    ]
    keys = desk.items(40)
    for rule in unknown:
        desk.answers(rule)
        before = len(desk.calls)
        with pytest.raises(ConfigurationError, match="refused in the same words"):
            desk.write(keys, concurrency=2)
        assert len(desk.calls) - before <= 4
    assert desk.failures == []
    assert desk.held == (0, 0)
    desk.answers(raw(completion(note())))
    assert desk.write(keys).done == 40


def test_all_of_a_small_batch_are_refused_alike(desk: ModelDesk) -> None:
    desk.answers(refusal(400, "no"))
    keys = desk.items(2)
    with pytest.raises(ConfigurationError, match="first 2 items"):
        desk.write(keys)
    assert desk.failures == []


def test_one_refused_item_is_its_own_failure(desk: ModelDesk) -> None:
    desk.answers(refusal(400, "no"))
    assert desk.write(desk.items(1)).failed == 1
    assert [failure[0] for failure in desk.failures] == ["RequestRefused"]


def test_refusals_in_different_words_concern_their_items(desk: ModelDesk) -> None:
    keys = desk.items(6)
    words = ["one", "two", "three"]
    desk.answers(
        *(
            {**refusal(400, f"we dislike {word}"), "match": f"note {key}."}
            for key, word in zip(keys[:3], words, strict=True)
        ),
        raw(completion(note())),
    )
    report = desk.write(keys, concurrency=1)
    assert (report.done, report.failed) == (3, 3)


def test_an_item_in_work_that_gets_through_clears_the_setup(desk: ModelDesk) -> None:
    keys = desk.items(10)
    right = raw(completion(note()))
    slow = {"action": "delay", "latency": 0.7, "match": f"note {keys[0]}."}
    refused = [{**refusal(400, "no"), "match": f"note {key}."} for key in keys[1:4]]
    desk.answers(slow, *refused, right)
    report = desk.write(keys, concurrency=4)
    assert (report.done, report.failed) == (7, 3)
    assert [failure[0] for failure in desk.failures] == ["RequestRefused"] * 3


FLAGGED: dict[str, dict[str, Any]] = {
    "OpenRouter": refusal(
        403, 'requires moderation. Your input was flagged for "violence"', code=403,
        metadata={"reasons": ["violence"], "flagged_input": "api key not valid"},
    ),
    "Azure": refusal(400, "The response was filtered", code="content_filter"),
    "Azure behind LiteLLM": refusal(
        400, "litellm.BadRequestError: AzureException", innererror={"code": "ResponsibleAIPolicyViolation"}
    ),
    "OpenAI": refusal(400, "Invalid prompt: your prompt was flagged", code="invalid_prompt"),
    "DashScope": refusal(400, "Input data may contain inappropriate content.", code="data_inspection_failed"),
    "DeepSeek": refusal(400, "Content Exists Risk", type="invalid_request_error"),
    "Zhipu": refusal(400, "系统检测到输入或生成内容可能包含不安全或敏感内容", code="1301"),
    "Azure's images": refusal(400, "Your request was rejected", code="contentFilter"),
}  # fmt: skip


def test_one_flagged_item_holds_no_other(desk: ModelDesk) -> None:
    for name, rule in FLAGGED.items():
        keys = desk.items(20)
        desk.answers({**rule, "match": f"note {keys[5]}."}, raw(completion(note())))
        report = desk.write(keys)
        assert (report.done, report.failed) == (19, 1), name
    assert [failure[0] for failure in desk.failures] == ["FilteredAnswer"] * len(FLAGGED)


PASSING = [
    refusal(429, "INSUFFICIENT QUOTA", type="rate_limit"),
    refusal(429, "You exceeded your current quota, please check your plan and billing details.", code=429),
    refusal(503, "The model is currently overloaded", code="model_not_available"),
    refusal(529, "Overloaded", type="overloaded_error"),
    refusal(503, "Loading model", code=503),
    {
        "action": "raw",
        "status": 524,
        "body_text": "<html>a timeout occurred</html>",
        "media_type": "text/html",
    },
    refusal(409, "conflict"),
    refusal(408, "timeout"),
]


def test_what_passes_is_tried_again(desk: ModelDesk) -> None:
    seen = desk.each({str(number): rule for number, rule in enumerate(PASSING)})
    down = [rule["status"] >= 500 for rule in PASSING]
    assert [one.error for one in seen.values()] == [
        "ServiceDown" if away else "TransientError" for away in down
    ]
    assert desk.spent == 0


def test_a_key_is_in_no_message(desk: ModelDesk) -> None:
    desk.answers(refusal(401, "Incorrect API key provided: sk-test-12345678."))
    with pytest.raises(ConfigurationError) as caught:
        desk.write(desk.items(1))
    assert "sk-test" not in str(caught.value)
    assert all("sk-test" not in text for _, text in desk.events)
