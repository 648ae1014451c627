"""A provider's server, as the scripted server plays one: what it refuses, how it answers, and its errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.support.scripted_answers import MODEL, error

DRAFT = '{"title": "Draft", "body": "a draft"}'
"""What a model considers in its thoughts, and must never be taken for its answer."""


class Provider:
    """A server that takes everything, and whose errors are OpenAI's.

    ``thinks``: tokens before each answer, one number for one answer after another. ``thinks_beside``: whether
    it counts them beside the answer's tokens. ``troubles``: what it can refuse everything for.
    """

    thinks: Sequence[int] = ()
    thinks_beside = False
    troubles: Sequence[str] = ("key", "money", "model")

    def __init__(self) -> None:
        self.answered = 0

    # What is wrong with the caller -----------------------------------------------------------------------

    def wrong_key(self) -> Response:
        """The answer to a key that it does not take."""
        return error(401, "Incorrect API key provided: sk-te***5678.", None, "invalid_api_key")

    def no_money(self) -> Response:
        """The answer to an account without money."""
        text = "You exceeded your current quota, please check your plan and billing details."
        return error(429, text, None, "insufficient_quota")

    def no_model(self) -> Response:
        """The answer to a model that is gone."""
        text = f"The model `{MODEL}` does not exist or you do not have access to it."
        return error(404, text, None, "model_not_found")

    def refused(self, trouble: str) -> Response:
        """The answer to one of its ``troubles``."""
        return {"key": self.wrong_key, "money": self.no_money, "model": self.no_model}[trouble]()

    # The models ------------------------------------------------------------------------------------------

    def models(self) -> Response:
        """The list of its models."""
        entry = {"id": MODEL, "object": "model", "owned_by": "tests"}
        return JSONResponse({"object": "list", "data": [entry]})

    def model(self, name: str) -> Response:
        """One model."""
        if name != MODEL:
            return self.no_model()
        return JSONResponse({"id": MODEL, "object": "model", "owned_by": "tests"})

    # The answers -----------------------------------------------------------------------------------------

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
        self.answered += 1
        self.shape(made, choice, choice["message"])
        return made

    def status_of(self, answer: Mapping[str, Any]) -> int:
        """The status of an answer of ``answers``."""
        return 200

    def shape(self, made: dict[str, Any], choice: dict[str, Any], message: dict[str, Any]) -> None:
        """Change the answer's form."""

    def _think(self, body: Mapping[str, Any], made: dict[str, Any], choice: dict[str, Any]) -> None:
        """Thoughts count against the limit, and are paid."""
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or 10**9
        usage = made["usage"]
        thinks = self.thinks[self.answered % len(self.thinks)]
        needed = thinks + usage["completion_tokens"]
        if needed > limit:
            choice["message"]["content"] = ""
            choice["message"].pop("tool_calls", None)
            choice["finish_reason"] = "length"
        thoughts = min(thinks, limit)
        used = min(needed, limit)
        usage["completion_tokens"] = used - thoughts if self.thinks_beside else used
        usage["completion_tokens_details"] = {"reasoning_tokens": thoughts}
        usage["total_tokens"] = usage["prompt_tokens"] + used
