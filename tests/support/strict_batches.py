"""A server with OpenAI's files, batches and chat completions, as strict as its documentation.

Source: OpenAI's guide "Batch API" (https://platform.openai.com/docs/guides/batch), and the pages "Files",
"Batch" and "The request input/output object" of its API reference.
A batch does nothing until a test lets it (``work``, ``fail``): its time is the test's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.generated_json import Instance

USED = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
_OVER = ("completed", "failed", "expired", "cancelled")


def _refusal(status: int, message: str, param: str | None = None) -> JSONResponse:
    detail = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return JSONResponse({"error": detail}, status)


@dataclass
class Made:
    """A batch as the server has it."""

    id: str
    input_file: str
    metadata: dict[str, str]
    status: str = "validating"
    output: str | None = None
    errors: str | None = None
    failed: list[dict[str, Any]] = field(default_factory=list)
    answered: int = 0

    @property
    def shown(self) -> dict[str, Any]:
        return {
            "id": self.id, "object": "batch", "endpoint": "/v1/chat/completions", "status": self.status,
            "errors": {"object": "list", "data": self.failed} if self.failed else None,
            "input_file_id": self.input_file, "completion_window": "24h", "output_file_id": self.output,
            "error_file_id": self.errors, "created_at": 1_700_000_000, "metadata": self.metadata,
        }  # fmt: skip


class StrictBatches:
    """The server's state, and what a test tells it."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """As new."""
        self.files: dict[str, bytes] = {}
        self.batches: list[Made] = []
        self.chats: list[dict[str, Any]] = []
        self.missing = False
        self.down = False
        """Whether chat completions, uploads and looks are answered with 503."""
        self.refuses_chats = False
        """Whether chat completions alone are."""
        self.cancels_slowly = False
        self.at_create: Callable[[], Response | None] = lambda: None
        """Called when a batch has been made and not answered yet."""
        self.before_create: Callable[[], Response | None] = lambda: None
        self.spoilt: dict[str, dict[str, Any]] = {}
        """Part of a prompt → the line of the results in place of an answer (``response`` or ``error``)."""

    # What tests do -------------------------------------------------------------------------------------

    def work(self, *, only: int | None = None, status: str = "completed") -> None:
        """Answer the requests of all open batches, or so many of each, and end them."""
        for batch in self.batches:
            if batch.status in _OVER:
                continue
            lines = [json.loads(line) for line in self.files[batch.input_file].splitlines()]
            done = lines if only is None else lines[:only]
            answers: list[dict[str, Any]] = []
            errors: list[dict[str, Any]] = []
            for line in done[::-1]:  # "the output line order may not match the input line order"
                entry = self._line(line)
                (errors if entry.get("error") or entry["response"]["status_code"] != 200 else answers).append(
                    entry
                )
            left = "batch_expired" if status == "expired" else "batch_cancelled"
            for line in lines[len(done) :]:
                error = {"code": left, "message": "This request could not be executed."}
                errors.append({"id": "r", "custom_id": line["custom_id"], "response": None, "error": error})
            batch.answered += len(answers)
            batch.output = self._file(answers) if answers else None
            batch.errors = self._file(errors) if errors else None
            batch.status = status

    def fail(self, message: str) -> None:
        """Refuse the open batches as a whole."""
        for batch in self.batches:
            if batch.status not in _OVER:
                batch.failed = [
                    {"code": "token_limit_exceeded", "message": message, "param": None, "line": None}
                ]
                batch.status = "failed"

    @property
    def billed(self) -> int:
        """The requests that were answered, at half the price."""
        return sum(batch.answered for batch in self.batches)

    def _line(self, line: dict[str, Any]) -> dict[str, Any]:
        prompt = json.dumps(line["body"]["messages"])
        told = next((told for part, told in self.spoilt.items() if part in prompt), None)
        answer = {"status_code": 200, "request_id": "q", "body": completion(line["body"])}
        entry = {"id": f"batch_req_{line['custom_id'][:6]}", "custom_id": line["custom_id"], "error": None}
        return {**entry, "response": answer, **(told or {})}

    def _file(self, lines: list[dict[str, Any]]) -> str:
        name = f"file-{len(self.files)}"
        self.files[name] = "\n".join(json.dumps(line) for line in lines).encode()
        return name

    # Routes ----------------------------------------------------------------------------------------------

    @property
    def app(self) -> Starlette:
        """The server."""
        return Starlette(
            routes=[
                Route("/v1/files", self._upload, methods=["POST"]),
                Route("/v1/files/{id}/content", self._content),
                Route("/v1/batches", self._create, methods=["POST"]),
                Route("/v1/batches", self._list),
                Route("/v1/batches/{id}", self._retrieve),
                Route("/v1/batches/{id}/cancel", self._cancel, methods=["POST"]),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/models", self._models),
            ]
        )

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "tests"}]})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        if self.down or self.refuses_chats:
            return _refusal(503, "overloaded")
        self.chats.append(body)
        return JSONResponse(completion(body))

    async def _upload(self, request: Request) -> Response:
        if self.down:
            return _refusal(503, "overloaded")
        if self.missing:
            return JSONResponse({"detail": "Not Found"}, 404)
        async with request.form() as form:
            file = form["file"]
            if form.get("purpose") != "batch" or isinstance(file, str):
                return _refusal(400, "the purpose of a batch's file is 'batch'", "purpose")
            if not str(file.filename).endswith(".jsonl"):
                return _refusal(400, "a batch's file is .jsonl", "file")
            content, filename = await file.read(), file.filename
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return JSONResponse(
            {"id": name, "object": "file", "bytes": len(self.files[name]), "created_at": 1,
             "purpose": "batch", "filename": filename, "status": "processed"}
        )  # fmt: skip

    async def _content(self, request: Request) -> Response:
        content = self.files.get(request.path_params["id"])
        return _refusal(404, "No such File object") if content is None else Response(content)

    async def _create(self, request: Request) -> Response:
        if refused := self.before_create():
            return refused
        body = await request.json()
        problem = self._problem(body)
        if problem:
            return _refusal(400, problem)
        made = Made(f"batch_{len(self.batches)}", body["input_file_id"], body.get("metadata") or {})
        self.batches.insert(0, made)
        if lost := self.at_create():
            return lost
        return JSONResponse(made.shown)

    def _problem(self, body: dict[str, Any]) -> str:
        if body.get("completion_window") != "24h":
            return "completion_window: only '24h' is supported"
        if body.get("endpoint") != "/v1/chat/completions":
            return "this endpoint is not supported"
        metadata = body.get("metadata") or {}
        if len(metadata) > 16 or any(len(k) > 64 or len(str(v)) > 512 for k, v in metadata.items()):
            return "metadata: at most 16 pairs of 64 and 512 characters"
        content = self.files.get(body.get("input_file_id", ""))
        if content is None:
            return "no such file"
        lines = [json.loads(line) for line in content.splitlines()]
        ids = [line.get("custom_id") for line in lines]
        if not lines or len(lines) > 50_000 or len(set(ids)) != len(ids) or not all(ids):
            return "each line needs a custom_id of its own"
        for line in lines:
            if set(line) != {"custom_id", "method", "url", "body"} or line["method"] != "POST":
                return "a line has custom_id, method, url and body"
            if line["url"] != body["endpoint"]:
                return "the url of a line is the batch's endpoint"
        if len({line["body"].get("model") for line in lines}) != 1:
            return "one model a file"
        return ""

    async def _list(self, request: Request) -> Response:
        limit, after = int(request.query_params.get("limit", 20)), request.query_params.get("after")
        if not 1 <= limit <= 100:
            return _refusal(400, "limit: 1 to 100", "limit")
        ids = [batch.id for batch in self.batches]
        begin = ids.index(after) + 1 if after else 0
        page = self.batches[begin : begin + limit]
        return JSONResponse(
            {"object": "list", "data": [batch.shown for batch in page],
             "first_id": page[0].id if page else None, "last_id": page[-1].id if page else None,
             "has_more": begin + limit < len(ids)}
        )  # fmt: skip

    def _found(self, request: Request) -> Made | None:
        return next((batch for batch in self.batches if batch.id == request.path_params["id"]), None)

    async def _retrieve(self, request: Request) -> Response:
        batch = self._found(request)
        if self.down:
            return _refusal(503, "overloaded")
        return _refusal(404, "No such batch") if batch is None else JSONResponse(batch.shown)

    async def _cancel(self, request: Request) -> Response:
        batch = self._found(request)
        if batch is None:
            return _refusal(404, "No such batch")
        if batch.status in _OVER:
            return _refusal(409, f"Cannot cancel a batch with status '{batch.status}'.")
        batch.status = "cancelling"
        if not self.cancels_slowly:
            self.work(only=1, status="cancelled")
        return JSONResponse(batch.shown)


def completion(body: dict[str, Any]) -> dict[str, Any]:
    """A right answer to a request."""
    prompt = json.dumps(body["messages"])
    schema = body["response_format"]["json_schema"]["schema"]
    text = json.dumps(Instance(schema, prompt).value())
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {
        "id": "c", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice],
        "usage": USED,
    }  # fmt: skip
