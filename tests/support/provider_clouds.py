"""The dialects of Gemini, xAI, OpenRouter and Azure, after what they publish of themselves.

* Gemini: ai.google.dev/api/compatibility and ai.google.dev/gemini-api/docs/openai (a model's name is
  prefixed by ``models/``; thoughts count against maxOutputTokens); errors as in zed-industries/zed#44875 and
  MinLL/SkyrimNet-GamePlugin#77 (a list around the body, ``Unknown name``), dyad-sh/dyad#3626 (credits).
* xAI: docs.x.ai/developers/model-capabilities/text/reasoning and Google's page of Grok on Vertex AI
  (reasoning_tokens beside completion_tokens, num_sources_used); errors as in BerriAI/litellm#16265
  (``code`` and ``error`` are texts), continuedev/continue#10778 (the key), #10740 and #12670 (credits).
* OpenRouter: openrouter.ai/docs/errors and /docs/prompt-caching (numbers as codes, errors within a 200,
  cache_write_tokens, ``provider``), 402 as in can1357/oh-my-pi#9569.
* Azure: learn.microsoft.com, Azure OpenAI REST reference (prompt_filter_results, content_filter_results,
  the list of models has no deployments), DeploymentNotFound as in its answers 1299621, a filtered prompt as
  in microsoft/TinyTroupe#85, a version that knows no schema as in danny-avila/LibreChat#8325.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.support.provider import DRAFT, Provider
from tests.support.scripted_answers import MODEL, plain

_SAFE = {
    "hate": {"filtered": False, "severity": "safe"}, "self_harm": {"filtered": False, "severity": "safe"},
    "sexual": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "safe"},
}  # fmt: skip


class Gemini(Provider):
    """Its compatible endpoint: errors are lists, unknown fields are refused, the total alone has thoughts."""

    thinks = (1100, 700)
    thinks_beside = True
    fields = frozenset({
        "model", "messages", "stream", "stream_options", "tools", "tool_choice", "modalities", "n", "stop",
        "max_tokens", "max_completion_tokens", "temperature", "top_p", "response_format", "reasoning_effort",
        "extra_body",
    })  # fmt: skip
    efforts = ("low", "high")

    def wrong_key(self) -> Response:
        text = "API key not valid. Please pass a valid API key."
        reason = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
        }
        return self._error(400, text, "INVALID_ARGUMENT", [reason])

    def no_money(self) -> Response:
        text = (
            "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to"
            " manage your project and billing."
        )
        return self._error(429, text, "RESOURCE_EXHAUSTED")

    def no_model(self) -> Response:
        text = (
            f"models/{MODEL} is not found for API version v1main, or is not supported for generateContent."
            " Call ListModels to see the list of available models and their supported methods."
        )
        return self._error(404, text, "NOT_FOUND")

    def models(self) -> Response:
        names = ("models/gemini-2.5-flash", f"models/{MODEL}")
        listed = [{"id": name, "object": "model", "owned_by": "google"} for name in names]
        return JSONResponse({"object": "list", "data": listed})

    def model(self, name: str) -> Response:
        if name.removeprefix("models/") != MODEL:
            return self.no_model()
        return JSONResponse({"id": f"models/{MODEL}", "object": "model", "owned_by": "google"})

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        unknown = [f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
                   for name in sorted(set(body) - self.fields)]  # fmt: skip
        if unknown:
            violations = [{"description": text} for text in unknown]
            detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}
            return self._error(400, "\n".join(unknown), "INVALID_ARGUMENT", [detail])
        if body.get("reasoning_effort", "low") not in self.efforts:
            text = f"Unsupported reasoning_effort: {body['reasoning_effort']}"
            return self._error(400, text, "INVALID_ARGUMENT")
        return None

    def shape(self, made: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> None:
        if choice["finish_reason"] == "length":
            del message["content"]  # a candidate without parts has none
        if message.get("tool_calls"):
            choice["finish_reason"] = "stop"
            for call in message["tool_calls"]:
                call["id"] = f"function-call-{self.answered}"
        del made["usage"]["completion_tokens_details"]

    def _error(self, code: int, text: str, status: str, details: list[Any] | None = None) -> Response:
        body = {"code": code, "message": text, "status": status, **({"details": details} if details else {})}
        return JSONResponse([{"error": body}], code)


class Xai(Provider):
    """``code`` and ``error`` are texts; efforts, penalties and stops are refused; thoughts are beside."""

    thinks = (950, 1400)
    thinks_beside = True
    refused_fields: Mapping[str, str] = {
        "reasoning_effort": "reasoningEffort", "presence_penalty": "presencePenalty",
        "frequency_penalty": "frequencyPenalty", "stop": "stop",
    }  # fmt: skip

    def wrong_key(self) -> Response:
        text = "Incorrect API key provided: sk***78. You can obtain an API key from https://console.x.ai."
        return self._error(400, "Client specified an invalid argument", text)

    def no_money(self) -> Response:
        text = (
            "Your newly created team doesn't have any credits or licenses yet. You can purchase those on"
            " https://console.x.ai/team/481c7584-ab46-4974-b86b-a4978384e229."
        )
        return self._error(
            403, "The caller does not have permission to execute the specified operation", text
        )

    def no_model(self) -> Response:
        text = f"The model {MODEL} does not exist or your team 481c7584 does not have access to it."
        return self._error(404, "Some requested entity was not found", text)

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        for name, told in self.refused_fields.items():
            if name in body:
                text = f"Model {MODEL} does not support parameter {told}."
                return self._error(400, "Client specified an invalid argument", text)
        return None

    def shape(self, made: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> None:
        message["refusal"] = None
        usage = made["usage"]
        cached = usage["prompt_tokens"] // 3
        usage["prompt_tokens_details"] = {
            "text_tokens": usage["prompt_tokens"], "audio_tokens": 0, "image_tokens": 0,
            "cached_tokens": cached,
        }  # fmt: skip
        usage["completion_tokens_details"] |= {
            "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        }  # fmt: skip
        usage["num_sources_used"] = 0
        made["system_fingerprint"] = "fp_39c5j0a324"

    def _error(self, status: int, code: str, text: str) -> Response:
        return JSONResponse({"code": code, "error": text}, status)


class OpenRouter(Provider):
    """Codes are numbers, what breaks while a model writes is an error within a 200, the upstream is named."""

    thinks = (600,)

    def wrong_key(self) -> Response:
        return self._error(401, "User not found.")

    def no_money(self) -> Response:
        text = (
            "This request requires more credits, or fewer max_tokens. You requested up to 4696 tokens, but"
            " can only afford 12. To increase, visit https://openrouter.ai/settings/credits and upgrade to a"
            " paid account"
        )
        return self._error(402, text, {"provider_name": None})

    def no_model(self) -> Response:
        return self._error(400, f"{MODEL} is not a valid model ID")

    def models(self) -> Response:
        entry = {
            "id": MODEL, "canonical_slug": MODEL, "name": "Scripted", "created": 1_700_000_000,
            "context_length": 128_000, "pricing": {"prompt": "0.00001", "completion": "0.00002"},
            "supported_parameters": ["max_tokens", "temperature", "tools", "response_format"],
        }  # fmt: skip
        return JSONResponse({"data": [entry]})

    @staticmethod
    def passing_failure() -> dict[str, Any]:
        """The body of a success when the provider behind it fails while it writes."""
        raw = '{"error": {"message": "Overloaded", "type": "overloaded_error"}}'
        metadata = {"provider_name": "Anthropic", "raw": raw}
        return {
            "error": {"code": 502, "message": "Provider returned error", "metadata": metadata},
            "user_id": "user_1",
        }

    def shape(self, made: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> None:
        made["provider"] = "Anthropic"
        made["model"] = f"anthropic/{MODEL}"
        choice["native_finish_reason"] = "end_turn"
        message["reasoning"] = f"I consider {DRAFT}"
        message["reasoning_details"] = [{"type": "reasoning.text", "text": DRAFT}]
        usage = made["usage"]
        third = usage["prompt_tokens"] // 3
        usage["prompt_tokens_details"] = {"cached_tokens": third, "cache_write_tokens": third}
        usage |= {"cost": 0.00123, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}

    def _error(self, status: int, text: str, metadata: Mapping[str, Any] | None = None) -> Response:
        body = {"message": text, "code": status, **({"metadata": metadata} if metadata else {})}
        return JSONResponse({"error": body, "user_id": "user_1"}, status)


class Azure(Provider):
    """Content filters judge every prompt and answer; an old version of the API knows no schema."""

    thinks = (800,)

    def wrong_key(self) -> Response:
        text = (
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a"
            " valid key for an active subscription and use a correct regional API endpoint for your resource."
        )
        return JSONResponse({"error": {"code": "401", "message": text}}, 401)

    def no_money(self) -> Response:
        text = "Your resource has been temporarily blocked because we detected unusual behavior."
        return JSONResponse({"error": {"code": "Forbidden", "message": text}}, 403)

    def no_model(self) -> Response:
        text = (
            "The API deployment for this resource does not exist. If you created the deployment within the"
            " last 5 minutes, please wait a moment and try again."
        )
        return JSONResponse({"error": {"code": "DeploymentNotFound", "message": text}}, 404)

    def models(self) -> Response:
        """Those that can be deployed, and no deployment."""
        entry = {
            "status": "succeeded", "id": "gpt-5.4-2026-03-05", "object": "model", "created_at": 1_646_126_127,
            "capabilities": {"inference": True, "chat_completion": True, "embeddings": False},
            "lifecycle_status": "generally-available", "deprecation": {"inference": 1_809_284_527},
        }  # fmt: skip
        return JSONResponse({"object": "list", "data": [entry]})

    def model(self, name: str) -> Response:
        text = "The specified model could not be found."
        return JSONResponse({"error": {"code": "ModelNotFound", "message": text}}, 404)

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        if (body.get("response_format") or {}).get("type") == "json_schema":
            text = (
                "response_format value as json_schema is enabled only for api versions 2024-08-01-preview and"
                " later"
            )
            return self._bad(text, "", "BadRequest")
        if "max_tokens" in body:
            text = (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
                " 'max_completion_tokens' instead."
            )
            return self._bad(text, "max_tokens", "unsupported_parameter")
        if any("FORBIDDEN" in plain(message["content"]) for message in body["messages"]):
            return self._filtered()
        return None

    def shape(self, made: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> None:
        made["model"] = "gpt-5.4-2026-03-05"
        made["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": _SAFE}]
        choice["content_filter_results"] = {
            **_SAFE,
            "protected_material_text": {"detected": False, "filtered": False},
        }
        message |= {"refusal": None, "annotations": []}
        made["usage"]["prompt_tokens_details"] = {"audio_tokens": 0, "cached_tokens": 0}

    def _filtered(self) -> Response:
        text = (
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
            " Please modify your prompt and retry."
        )
        judged = {**_SAFE, "violence": {"filtered": True, "severity": "medium"}}
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": judged}
        body = {
            "message": text, "type": None, "param": "prompt", "code": "content_filter", "status": 400,
            "innererror": inner,
        }  # fmt: skip
        return JSONResponse({"error": body}, 400)

    @staticmethod
    def _bad(text: str, param: str, code: str) -> Response:
        error = {"message": text, "type": "invalid_request_error", "param": param, "code": code}
        return JSONResponse({"error": error}, 400)
