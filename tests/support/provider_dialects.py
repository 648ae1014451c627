"""The ways in which providers' servers differ from OpenAI's, as they were seen: what each refuses, and how it
answers. The scripted server takes one of them as its ``dialect``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.support.scripted_answers import error, plain


class Provider:
    """A server that takes everything. ``thinks``: tokens before each answer."""

    thinks = 0

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        """The refusal of a request, or None."""
        return None

    def heeded(self, body: dict[str, Any]) -> dict[str, Any]:
        """The request without what the server ignores."""
        return body

    def answers(self, body: Mapping[str, Any], response: Response) -> dict[str, Any]:
        """The answer in the provider's form."""
        made: dict[str, Any] = json.loads(bytes(response.body))
        choice = made["choices"][0]
        if self.thinks:
            self._think(body, made, choice)
        self.shape(made, choice, choice["message"])
        return made

    def shape(self, made: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> None:
        """Change the answer's form."""

    def _think(self, body: Mapping[str, Any], made: dict[str, Any], choice: dict[str, Any]) -> None:
        """Thoughts count against the limit, and are paid."""
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or 10**9
        usage = made["usage"]
        needed = self.thinks + usage["completion_tokens"]
        if needed > limit:
            if choice["message"]["content"]:
                choice["message"]["content"] = ""
            choice["finish_reason"] = "length"
        thoughts = min(self.thinks, limit)
        usage["completion_tokens"] = min(needed, limit)
        usage["completion_tokens_details"] = {"reasoning_tokens": thoughts}
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]


class OpenAIReasoning(Provider):
    """Wants max_completion_tokens and no temperature, and thinks first."""

    thinks = 1152

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
        thought = [{"type": "text", "text": 'first: {"title": "Draft", "body": "a draft"}'}]
        text = {"type": "text", "text": message["content"]}
        message["content"] = [{"type": "thinking", "thinking": thought}, text]


class DeepSeek(Provider):
    """Only json_object, and no forced tool call while it thinks; says what came from its cache."""

    thinks = 900

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        if (body.get("response_format") or {}).get("type") == "json_schema":
            return error(400, "This response_format type is unavailable now", None, "invalid_request_error")
        if body.get("tool_choice") == "required":
            return error(
                400, "deepseek-reasoner does not support this tool_choice", None, "invalid_request_error"
            )
        return None

    def shape(self, made: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> None:
        message["reasoning_content"] = 'I think of {"title": "Draft", "body": "a draft"}'
        usage = made["usage"]
        usage["prompt_cache_hit_tokens"] = usage["prompt_tokens"] // 2
        usage["prompt_cache_miss_tokens"] = usage["prompt_tokens"] - usage["prompt_cache_hit_tokens"]


class Kimi(Provider):
    """Takes one temperature only, and says so in words of its own."""

    def refuses(self, body: Mapping[str, Any]) -> Response | None:
        if body.get("temperature", 1) != 1:
            return error(400, "invalid temperature: only 1 is allowed for this model", None, None)
        return None


class Groq(Provider):
    """Checks the answer itself: what the model misses is a 400 with what it wrote."""

    def __init__(self) -> None:
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


class StrictVllm(Provider):
    """A strict chat template, a context of 2,048 tokens, and thoughts without the tag that opens them."""

    context = 2048

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
        draft = '{"title": "Draft", "body": "a draft"}'
        message["content"] = f"Let me draft: {draft} hmm.\n</think>\n\n{message['content']}"


class LmStudio(Provider):
    """Takes json_schema or text only, and its errors are texts."""

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
    "vllm": StrictVllm,
    "lm_studio": LmStudio,
}
