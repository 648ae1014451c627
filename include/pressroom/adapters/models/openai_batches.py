"""Batches of chat completions at OpenAI and at servers that have its endpoint, through its SDK.

Needs: ``/v1/files`` and ``/v1/batches`` behind the connection of a text model. A server without them answers
404, which is kept with what is learned of it. Errors are those of ``openai_errors``.
Source: OpenAI's guide "Batch API" and its API reference, "Batch" and "Files".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import openai

from pressroom.adapters.http.errors import scrub
from pressroom.adapters.models.openai_errors import translate
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.replies import NoCompletion, read_body, read_reply
from pressroom.domain.errors import NoBatchEndpoint, PressroomError, TransientError, UnknownOutcome
from pressroom.domain.model import BatchResult, ModelRequest, ProviderBatch

MARK = "pressroom_batch"
"""The name of our mark in a batch's metadata."""
PAGES = 20
"""So many pages of a list are looked through for a mark: a batch that was just made is on the first."""
_PER_PAGE = 100
_WITHOUT = frozenset({404, 405, 501})
_ENDPOINT: Final = "/v1/chat/completions"
_NOT_BEGUN = ("batch_expired", "batch_cancelled")


class OpenAIBatches:
    """The ``BatchEndpoint`` of a text model."""

    def __init__(self, text: OpenAIText) -> None:
        self._text = text

    async def upload(self, mark: str, requests: Mapping[str, ModelRequest]) -> str:
        lines = [
            json.dumps(
                {
                    "custom_id": key,
                    "method": "POST",
                    "url": _ENDPOINT,
                    "body": await self._text.body(request),
                },
                ensure_ascii=False,
            )
            for key, request in requests.items()
        ]
        content = "\n".join(lines).encode("utf-8", "replace")
        try:
            made = await self._text.client.files.create(file=(f"{mark}.jsonl", content), purpose="batch")
        except openai.OpenAIError as error:
            raise self._ours(error) from None
        return str(made.id)

    async def submit(self, mark: str, file: str) -> ProviderBatch:
        try:
            made = await self._text.client.batches.create(
                input_file_id=file, endpoint=_ENDPOINT, completion_window="24h", metadata={MARK: mark}
            )
        except openai.APIStatusError as error:
            ours = self._ours(error)
            if isinstance(ours, TransientError) and error.status_code >= 500:
                raise UnknownOutcome(str(ours)) from None
            raise ours from None
        except openai.OpenAIError as error:
            raise self._ours(error) from None
        return _batch(made)

    async def find(self, mark: str) -> ProviderBatch | None:
        after: str | None = None
        try:
            for _ in range(PAGES):
                page = await self._text.client.batches.list(limit=_PER_PAGE, after=after or openai.omit)
                listed = page.data or []
                for batch in listed:
                    if (batch.metadata or {}).get(MARK) == mark:
                        return _batch(batch)
                if not page.has_more or not listed:
                    return None
                after = listed[-1].id
        except openai.OpenAIError as error:
            raise self._ours(error) from None
        return None

    async def look(self, batch: str) -> ProviderBatch | None:
        try:
            return _batch(await self._text.client.batches.retrieve(batch))
        except openai.NotFoundError:
            return None
        except openai.OpenAIError as error:
            raise self._ours(error) from None

    async def cancel(self, batch: str) -> ProviderBatch | None:
        try:
            return _batch(await self._text.client.batches.cancel(batch))
        except (openai.ConflictError, openai.BadRequestError, openai.NotFoundError):  # it has ended meanwhile
            return await self.look(batch)
        except openai.OpenAIError as error:
            raise self._ours(error) from None

    async def results(self, batch: ProviderBatch) -> Mapping[str, BatchResult] | None:
        results: dict[str, BatchResult] = {}
        for file in batch.files:
            try:
                content = await self._text.client.files.content(file)
            except openai.NotFoundError:
                return None
            except openai.OpenAIError as error:
                raise self._ours(error) from None
            for line in content.content.splitlines():
                if line.strip():
                    key, result = self._result(line)
                    results[key] = result
        return results

    def _result(self, line: bytes) -> tuple[str, BatchResult]:
        try:
            entry = read_body(line)
        except NoCompletion:
            return "", BatchResult(None, "a line of the results is not JSON")
        entry = entry if isinstance(entry, dict) else {}
        key = str(entry.get("custom_id") or "")
        answer, error = entry.get("response"), entry.get("error")
        if isinstance(error, dict) and error.get("code") in _NOT_BEGUN:
            return key, BatchResult(None)
        body = answer.get("body") if isinstance(answer, dict) else None
        if isinstance(answer, dict) and answer.get("status_code") == 200:
            try:
                return key, BatchResult(read_reply(body, self._text.model))
            except NoCompletion as broken:
                return key, BatchResult(None, self._text.hidden(str(broken)))
        return key, BatchResult(None, self._text.hidden(json.dumps(error or body, ensure_ascii=False)))

    def _ours(self, error: openai.OpenAIError) -> PressroomError:
        if isinstance(error, openai.APIStatusError) and error.status_code in _WITHOUT:
            return NoBatchEndpoint(
                f"connection {self._text.connection!r}: the server has no batch endpoint"
                f" (it answered {error.status_code})"
            )
        return translate(error, connection=self._text.connection, secret=self._text.secret)


def _batch(made: Any) -> ProviderBatch:
    listed = getattr(made.errors, "data", None) or []
    reason = "; ".join(str(error.message) for error in listed[:3] if error.message)
    files = [file for file in (made.output_file_id, made.error_file_id) if file]
    return ProviderBatch(str(made.id), str(made.status), files, scrub(reason))
