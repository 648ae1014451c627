"""An OpenAI-compatible server that answers at once and fails on command. No model in it.

    python -m tests.support.scripted_openai --port 8900 --latency 1

* ``POST /v1/chat/completions``: a valid instance of whatever JSON schema is asked for, the same for the
  same prompt; tool calls when tools are sent. ``POST /v1/images/generations``, ``GET /v1/models``,
  ``GET /health``.
* ``POST /script``: ``{"latency": seconds, "unsupported": [...], "rules": [rule, ...]}`` replaces what it
  names. A rule: ``{"match": substring of the prompt, "call": number, "times": n, "action": ..., ...}``; the
  first that fits and is not used up decides. Without ``times`` it never is; without ``match`` and ``call`` it
  fits every call. Actions: ``status`` (with ``status``, ``retry_after``, ``code``, ``message``, ``param``),
  ``hang``, ``hold`` (until the rule is taken away, then it answers well),
  ``broken_json``, ``broken_body``, ``wrong_schema``, ``length``, ``content_filter``, ``refusal``,
  ``empty``, ``answer`` (with ``content``), ``delay`` (with ``latency``), ``call`` (with ``calls``:
  ``[{"name", "arguments"}, ...]``, the tools that are called when tools were sent; an argument ``{"find":
  pattern, "as": text with {}}`` is made of the pattern's first group in the prompt), ``raw`` (with
  ``status``, ``headers``, and ``body`` or ``body_text``: exactly what a provider answered).
  ``dialect``: the name of a provider (``provider_dialects``) whose server this one is like. ``trouble``: it
  refuses everything in that provider's words, because of the caller's ``key``, ``money`` or ``model``.
  ``thinks``: tokens of thoughts before each answer, one after another.
  ``unsupported``: what the server refuses with a 400, out of json_schema, json_object, maxLength, max_tokens,
  max_completion_tokens, temperature, tools; ``tools_ignored``: it answers as if none had been sent.
* ``POST /v1/embeddings``: what wordllama says, with so much in common to all texts that unrelated ones are at
  0.8; the last text comes first.
* ``GET /journal``: every call with prompt, times and how many were in flight; ``GET /state``; ``DELETE
  /script`` starts anew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.provider import Provider
from tests.support.provider_dialects import PROVIDERS
from tests.support.scripted_answers import completion, error, picture, plain, refused, vectors

_HANG_SECONDS = 600.0


Answer = Callable[[str, dict[str, Any], Mapping[str, Any], Collection[str]], Response]


class Script:
    """What the server is told to do, and what it did."""

    def __init__(self, latency: float = 0.0) -> None:
        self._latency = latency
        self._changing = threading.Lock()
        self.stopping = threading.Event()
        self.clear()

    def clear(self) -> None:
        """Back to answering well; the journal starts anew."""
        self.latency = self._latency
        self.rules: list[dict[str, Any]] = []
        self.unsupported: set[str] = set()
        self.dialect: Provider | None = None
        self.trouble = ""
        self.most_texts = 2048
        self.journal: list[dict[str, Any]] = []
        self.calls = 0
        self.in_flight = 0
        self.max_in_flight = 0

    def update(self, told: Mapping[str, Any]) -> None:
        """Take over the parts of a script that are named."""
        if "latency" in told:
            self.latency = float(told["latency"])
        if "unsupported" in told:
            self.unsupported = set(told["unsupported"])
        if "dialect" in told:
            self.dialect = PROVIDERS[told["dialect"]]() if told["dialect"] else None
        if "trouble" in told:
            self.trouble = str(told["trouble"])
        if "thinks" in told:
            self.dialect = self.dialect or Provider()
            self.dialect.thinks = tuple(told["thinks"])
        if "rules" in told:
            self.rules = [dict(rule) for rule in told["rules"]]

    def say(self, match: str, **rule: Any) -> None:
        """Have one rule for the prompts with that text, in place of those there are: several threads may."""
        with self._changing:
            others = [each for each in self.rules if each.get("match") != match]
            self.rules = [*others, *([{"match": match, **rule}] if rule else [])]

    def holds(self, match: str) -> bool:
        """Whether a call with that text in its prompt is held now."""
        return any(
            entry["ended"] is None and entry["action"] == "hold" and match in entry["prompt"]
            for entry in list(self.journal)
        )

    def begin(self, path: str, prompt: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Note a call; its journal entry and the rule that decides it ({}: none)."""
        self.calls += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        rule = next((rule for rule in self.rules if self._fits(rule, prompt)), {})
        if "times" in rule:
            rule["times"] -= 1
        asked = body.get("response_format")
        entry = {
            "call": self.calls,
            "path": path,
            "prompt": prompt,
            "model": body.get("model"),
            "parameters": sorted(set(body) - {"messages", "model", "prompt"}),
            "format": asked.get("type") if isinstance(asked, Mapping) else asked,
            "action": rule.get("action", "answer"),
            "started": time.time(),
            "ended": None,
            "in_flight": self.in_flight,
        }
        self.journal.append(entry)
        return entry, rule

    def end(self, entry: dict[str, Any]) -> None:
        """Note that a call is over."""
        entry["ended"] = time.time()
        self.in_flight = max(self.in_flight - 1, 0)

    def _fits(self, rule: Mapping[str, Any], prompt: str) -> bool:
        return (
            rule.get("times", 1) > 0
            and rule.get("call", self.calls) == self.calls
            and str(rule.get("match", "")) in prompt
        )


def make_app(script: Script) -> Starlette:
    """The server's routes on one script."""

    async def chat(request: Request) -> Response:
        body = await request.json()
        prompt = "\n".join(plain(message.get("content")) for message in body.get("messages", []))
        return await _served(request, script, "chat", prompt, body, completion)

    async def images(request: Request) -> Response:
        body = await request.json()
        return await _served(request, script, "images", str(body.get("prompt", "")), body, picture)

    async def tell(request: Request) -> Response:
        if request.method == "DELETE":
            script.clear()
        else:
            script.update(await request.json())
        return JSONResponse({"rules": script.rules, "latency": script.latency})

    async def models(request: Request) -> Response:
        provider = script.dialect or Provider()
        return provider.refused("key") if script.trouble == "key" else provider.models()

    async def model(request: Request) -> Response:
        provider = script.dialect or Provider()
        return provider.model("" if script.trouble == "model" else str(request.path_params["name"]))

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def journal(request: Request) -> Response:
        return JSONResponse(script.journal)

    async def state(request: Request) -> Response:
        seen = {"calls": script.calls, "in_flight": script.in_flight, "max_in_flight": script.max_in_flight}
        return JSONResponse(seen)

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/images/generations", images, methods=["POST"]),
            Route("/v1/embeddings", partial(_embeddings, script), methods=["POST"]),
            Route("/v1/models", models),
            Route("/v1/models/{name:path}", model),
            Route("/health", health),
            Route("/script", tell, methods=["POST", "DELETE"]),
            Route("/journal", journal),
            Route("/state", state),
        ]
    )


async def _embeddings(script: Script, request: Request) -> Response:
    body = await request.json()
    texts = body["input"]
    if len(texts) > script.most_texts:
        return error(400, f"at most {script.most_texts} requests can be in one batch", None, None, {})
    return await _served(request, script, "embeddings", "\n".join(texts), body, vectors)


async def _served(
    request: Request, script: Script, path: str, prompt: str, body: dict[str, Any], answer: Answer
) -> Response:
    provider = script.dialect if path == "chat" else None
    refusal = refused(script.unsupported, body)
    if script.trouble:
        refusal = (provider or Provider()).refused(script.trouble)
    elif provider and refusal is None:
        refusal = provider.refuses(body)
    if refusal is not None:
        entry, _ = script.begin(path, prompt, body)
        entry["action"] = "unsupported"
        script.end(entry)
        return refusal
    entry, rule = script.begin(path, prompt, body)
    try:
        if rule.get("action") == "hang":
            await _hang(request, script)
            return Response(status_code=503)
        if rule.get("action") == "hold":
            await _hang(request, script, lambda: any(rule is each for each in script.rules))
        latency = float(rule.get("latency", script.latency))
        if latency:
            await asyncio.sleep(latency)
        failure = _failure(rule)
        if failure is not None:
            return failure
        if provider is None:
            return answer(prompt, body, rule, script.unsupported)
        written = provider.answers(body, answer(prompt, provider.heeded(body), rule, script.unsupported))
        entry["usage"] = written.get("usage")
        return JSONResponse(written, provider.status_of(written))
    finally:
        script.end(entry)


async def _hang(request: Request, script: Script, still: Callable[[], bool] = lambda: True) -> None:
    """Until the client gives up, the server stops, or it is no longer to."""
    until = time.monotonic() + _HANG_SECONDS
    while time.monotonic() < until and not script.stopping.is_set() and still():
        if await request.is_disconnected():
            return
        await asyncio.sleep(0.05)  # set from another thread, so it cannot be awaited


def _failure(rule: Mapping[str, Any]) -> Response | None:
    if rule.get("action") == "broken_body":
        return Response('{"id": "chatcmpl-1", "choices": [', media_type="application/json")
    if rule.get("action") == "raw":
        content = rule["body_text"] if "body_text" in rule else json.dumps(rule["body"])
        # As a provider may send it: with halves of characters, too.
        return Response(
            content.encode("utf-8", "surrogatepass"), rule.get("status", 200), rule.get("headers"),
            media_type=rule.get("media_type", "application/json"),
        )  # fmt: skip
    if rule.get("action") != "status":
        return None
    status = int(rule.get("status", 500))
    headers = {"Retry-After": str(rule["retry_after"])} if "retry_after" in rule else {}
    message = rule.get("message", f"scripted {status}")
    return error(status, message, rule.get("param"), rule.get("code"), headers)


def _server(script: Script, port: int) -> uvicorn.Server:
    config = uvicorn.Config(
        make_app(script),
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


class ScriptedOpenAI:
    """The server in a thread, for tests: a context manager with ``base_url`` and ``script``."""

    def __init__(self, latency: float = 0.0, port: int = 0) -> None:
        self.script = Script(latency)
        self._server = _server(self.script, port)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> ScriptedOpenAI:
        self._thread.start()
        until = time.monotonic() + 10
        while not self._server.started:
            if time.monotonic() > until or not self._thread.is_alive():
                raise RuntimeError("the scripted server did not start")
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.script.stopping.set()
        self._server.should_exit = True
        self._thread.join(10)

    @property
    def url(self) -> str:
        """The server's root."""
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    @property
    def base_url(self) -> str:
        """For an OpenAI client."""
        return f"{self.url}/v1"


def serve(latency: float = 0.0, port: int = 0) -> ScriptedOpenAI:
    """The server as a context manager; port 0: any free one."""
    return ScriptedOpenAI(latency, port)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible server on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that every answer takes")
    arguments = parser.parse_args()
    script = Script(arguments.latency)
    server = _server(script, arguments.port)
    server.run()


if __name__ == "__main__":
    main()
