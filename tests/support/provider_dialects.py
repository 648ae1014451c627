"""The ways in which providers' servers differ from OpenAI's, as they were seen: what each refuses, and how it
answers. The scripted server takes one of them as its ``dialect``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.support.provider import DRAFT, Provider
from tests.support.provider_clouds import Azure, Gemini, OpenRouter, Xai
from tests.support.scripted_answers import MODEL, error, plain


class OpenAIReasoning(Provider):
    """Wants max_completion_tokens and no temperature, and thinks first."""

    thinks = (1152,)

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        if "max_tokens" in body:
            text = (
                "Unsupported parameter: 'max_tokens' is not supported with this model."
                " Use 'max_completion_tokens' instead."
            )
            return error(400, text, "max_tokens", "unsupported_parameter")
        if body.get("temperature", 1) != 1:
            text = (
                "Unsupported value: 'temperature' does not support 0.7 with this model."
                " Only the default (1) value is supported."
            )
            return error(400, text, "temperature", "unsupported_value")
        return None


class Anthropic(Provider):
    """Ignores response_format, and refuses the temperature in words of its own."""

    def wrong_key(self) -> Response:
        return self._error(401, "authentication_error", "invalid x-api-key")

    def no_money(self) -> Response:
        text = (
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to"
            " upgrade or purchase credits."
        )
        return self._error(400, "invalid_request_error", text)

    def no_model(self) -> Response:
        return self._error(404, "not_found_error", f"model: {MODEL}")

    @staticmethod
    def _error(status: int, kind: str, text: str) -> Response:
        return JSONResponse({"type": "error", "error": {"type": kind, "message": text}}, status)

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        if "temperature" in body:
            detail = {
                "message": "`temperature` is deprecated for this model.",
                "type": "invalid_request_error",
            }
            return JSONResponse({"error": detail}, 400)
        return None

    def heeded(self, body: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in body.items() if name != "response_format"}


class Mistral(Provider):
    """Magistral: the content is a list of thoughts and text. Unknown fields are a 422."""

    def wrong_key(self) -> Response:
        return JSONResponse({"detail": "Unauthorized"}, 401)

    def no_money(self) -> Response:
        return JSONResponse({"detail": "Inactive subscription or usage limit reached"}, 402)

    def no_model(self) -> Response:
        body = {"object": "error", "message": f"Invalid model: {MODEL}", "type": "invalid_model",
                "param": None, "code": "1500"}  # fmt: skip
        return JSONResponse(body, 400)

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        if "max_completion_tokens" in body:
            detail = {
                "type": "extra_forbidden",
                "loc": ["body", "max_completion_tokens"],
                "msg": "Extra inputs",
            }
            return JSONResponse({"object": "error", "message": {"detail": [detail]}, "type": "invalid"}, 422)
        return None

    def shape(self, made: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> None:
        thought = [{"type": "text", "text": f"first: {DRAFT}"}]
        text = {"type": "text", "text": message["content"]}
        message["content"] = [{"type": "thinking", "thinking": thought}, text]


class DeepSeek(Provider):
    """Only json_object, and no forced tool call while it thinks; says what came from its cache."""

    thinks = (900,)

    def wrong_key(self) -> Response:
        text = "Authentication Fails, Your api key: ****5678 is invalid"
        return error(401, text, None, "invalid_request_error")

    def no_money(self) -> Response:
        return error(402, "Insufficient Balance", None, "invalid_request_error")

    def no_model(self) -> Response:
        return error(400, "Model Not Exist", None, "invalid_request_error")

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        if (body.get("response_format") or {}).get("type") == "json_schema":
            return error(400, "This response_format type is unavailable now", None, "invalid_request_error")
        if body.get("tool_choice") == "required":
            return error(
                400, "deepseek-reasoner does not support this tool_choice", None, "invalid_request_error"
            )
        return None

    def shape(self, made: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> None:
        message["reasoning_content"] = f"I think of {DRAFT}"
        usage = made["usage"]
        usage["prompt_cache_hit_tokens"] = usage["prompt_tokens"] // 2
        usage["prompt_cache_miss_tokens"] = usage["prompt_tokens"] - usage["prompt_cache_hit_tokens"]


class Kimi(Provider):
    """Takes one temperature only, and says so in words of its own."""

    def wrong_key(self) -> Response:
        return self._error(401, "Invalid Authentication", "invalid_authentication_error")

    def no_money(self) -> Response:
        text = "Your account is suspended due to insufficient balance, please recharge your account"
        return self._error(429, text, "exceeded_current_quota_error")

    def no_model(self) -> Response:
        return self._error(
            404, f"Not found the model {MODEL} or Permission denied", "resource_not_found_error"
        )

    @staticmethod
    def _error(status: int, text: str, kind: str) -> Response:
        return JSONResponse({"error": {"message": text, "type": kind}}, status)

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        if body.get("temperature", 1) != 1:
            return error(400, "invalid temperature: only 1 is allowed for this model", None, None)
        return None


class Groq(Provider):
    """Checks the answer itself: what the model misses is a 400 with what it wrote."""

    def no_money(self) -> Response:
        text = (
            "Organization has been restricted. Please reach out to support if you believe this was in error."
        )
        return error(400, text, None, "organization_restricted")

    def no_model(self) -> Response:
        text = f"The model `{MODEL}` has been decommissioned and is no longer supported."
        return error(400, text, None, "model_decommissioned")

    def __init__(self) -> None:
        super().__init__()
        self.missed = 0

    def answers(self, body: Mapping[str, Any], response: Response) -> dict[str, Any]:
        if self.missed < 1:
            self.missed += 1
            detail = {
                "message": "Failed to validate JSON. Please adjust your prompt. See 'failed_generation'.",
                "type": "invalid_request_error", "code": "json_validate_failed",
                "failed_generation": '{"title": ',
            }  # fmt: skip
            return {"error": detail}
        return super().answers(body, response)

    def status_of(self, answer: Mapping[str, Any]) -> int:
        return 400 if "error" in answer else 200


class StrictVllm(Provider):
    """A strict chat template, a context of 2,048 tokens, and thoughts without the tag that opens them."""

    context = 2048
    troubles = ("key", "model")

    def wrong_key(self) -> Response:
        return JSONResponse({"error": "Unauthorized"}, 401)

    def no_model(self) -> Response:
        text = f"The model `{MODEL}` does not exist."
        body = {"object": "error", "message": text, "type": "NotFoundError", "param": None, "code": 404}
        return JSONResponse(body, 404)

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        roles = [message["role"] for message in body["messages"]]
        alternating = all(a != b for a, b in itertools.pairwise(roles))
        if "system" in roles or not alternating:
            return self._refusal("Conversation roles must alternate user/assistant/user/assistant/...")
        prompt = sum(len(plain(message["content"])) for message in body["messages"]) // 3
        limit = body.get("max_tokens", 0)
        if prompt + limit > self.context:
            return self._refusal(
                f"This model's maximum context length is {self.context} tokens. However, you requested"
                f" {prompt + limit} tokens ({prompt} in the messages, {limit} in the completion)."
                " Please reduce the length of the messages or completion."
            )
        return None

    def _refusal(self, text: str) -> Response:
        body = {"object": "error", "message": text, "type": "BadRequestError", "param": None, "code": 400}
        return JSONResponse(body, 400)

    def shape(self, made: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> None:
        message["content"] = f"Let me draft: {DRAFT} hmm.\n</think>\n\n{message['content']}"


class LmStudio(Provider):
    """Takes json_schema or text only, and its errors are texts."""

    troubles = ("key", "model")

    def wrong_key(self) -> Response:
        return error(401, "Malformed LM Studio API token provided", None, "invalid_api_key")

    def no_model(self) -> Response:
        text = f'Invalid model identifier "{MODEL}". Please specify a valid downloaded model.'
        return error(400, text, "model", "model_not_found")

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        if (body.get("response_format") or {}).get("type") == "json_object":
            return JSONResponse({"error": "'response_format.type' must be 'json_schema' or 'text'"}, 400)
        if "max_completion_tokens" in body:
            return JSONResponse({"error": "'max_completion_tokens' is unknown"}, 400)
        return None


PROVIDERS: Mapping[str, Callable[[], Provider]] = {
    "openai_reasoning": OpenAIReasoning,
    "anthropic": Anthropic,
    "mistral": Mistral,
    "deepseek": DeepSeek,
    "kimi": Kimi,
    "groq": Groq,
    "gemini": Gemini,
    "xai": Xai,
    "openrouter": OpenRouter,
    "azure": Azure,
    "vllm": StrictVllm,
    "lm_studio": LmStudio,
}
