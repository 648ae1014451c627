"""The bodies that the scripted OpenAI server answers with."""

from __future__ import annotations

import base64
import functools
import io
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from PIL import Image
from starlette.responses import JSONResponse, Response

from pressroom.adapters.models.similarity import WordLlamaSimilarity
from tests.support.generated_json import Instance

MODEL = "scripted-1"


def error(
    status: int,
    message: str,
    param: str | None = None,
    code: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """An error in the form OpenAI gives it."""
    detail = {"message": message, "type": "scripted_error", "param": param, "code": code}
    return JSONResponse({"error": detail}, status, headers=headers)


def refused(unsupported: Iterable[str], body: Mapping[str, Any]) -> Response | None:
    """The 400 for what the server is told not to support, or None when the body asks for nothing of it."""
    asked = body.get("response_format")
    form = asked.get("type") if isinstance(asked, Mapping) else asked
    for name in unsupported:
        if name == form:
            text = f"Invalid parameter: 'response_format' of type '{name}' is not supported"
            return error(400, text, "response_format")
        if name == "maxLength" and form == "json_schema" and '"maxLength"' in json.dumps(body):
            text = "Invalid schema for response_format 'answer': 'maxLength' is not permitted"
            return error(400, text, "response_format")
        if name in body and name in ("max_tokens", "max_completion_tokens"):
            other = "max_completion_tokens" if name == "max_tokens" else "max_tokens"
            text = f"Unsupported parameter: '{name}' is not supported with this model. Use '{other}' instead."
            return error(400, text, name, "unsupported_parameter")
        if name == "temperature" and "temperature" in body:
            text = "Unsupported value: 'temperature' does not support this value with this model."
            return error(400, text, name, "unsupported_value")
        if name == "tools" and "tools" in body:
            return error(400, "tools are not supported by this model", "tools")
    return None


def completion(
    prompt: str, body: dict[str, Any], rule: Mapping[str, Any], unsupported: Collection[str]
) -> Response:
    """A chat completion, spoilt as the rule's action says."""
    action = rule.get("action", "")
    message: dict[str, Any] = {"role": "assistant", "content": None}
    finish = "stop"
    if body.get("tools") and "tools_ignored" not in unsupported:
        message["tool_calls"] = _calls(prompt, body["tools"], rule)
        finish = "tool_calls"
    else:
        message["content"] = _content(prompt, body)
    if action in ("length", "broken_json") and message["content"]:
        message["content"] = message["content"][: len(message["content"]) // 2]
    if action in ("length", "content_filter"):
        finish = action
    if action == "content_filter":
        message["content"] = ""
    elif action == "wrong_schema":
        message["content"] = '{"unexpected": true}'
    elif action == "refusal":
        message.update(content=None, refusal="I cannot help with that.")
    elif action == "empty":
        message["content"] = ""
    elif action == "answer":
        message["content"] = rule["content"]
    used = {"prompt_tokens": len(prompt) // 4 + 1, "completion_tokens": len(str(message)) // 4 + 1}
    return JSONResponse(
        {
            "id": "chatcmpl-scripted",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": body.get("model", MODEL),
            "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
            "usage": {**used, "total_tokens": sum(used.values())},
        }
    )


def _calls(prompt: str, tools: Sequence[Any], rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rule's calls, whether or not such tools were sent; without any one call of one of the tools."""
    told = [
        (
            call["name"],
            json.dumps({name: _filled(value, prompt) for name, value in call["arguments"].items()}),
        )
        for call in rule.get("calls", ())
    ]
    if not told:
        function = tools[len(prompt) % len(tools)]["function"]
        arguments = json.dumps(Instance(function["parameters"], prompt).value())
        if rule.get("action") == "broken_json":
            arguments = arguments[: len(arguments) // 2]
        told = [(function["name"], arguments)]
    return [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(told, start=1)
    ]


def _filled(value: Any, prompt: str) -> Any:
    if not isinstance(value, dict):
        return value
    found = re.search(value["find"], prompt)
    return str(value.get("as", "{}")).format(found.group(1) if found else "")


def _content(prompt: str, body: Mapping[str, Any]) -> str:
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        return json.dumps(Instance(form["json_schema"]["schema"], prompt).value(), ensure_ascii=False)
    last = plain(body["messages"][-1].get("content"))
    if "JSON schema" in last and "{" in last:  # the schema came in words
        schema, _ = json.JSONDecoder().raw_decode(last, last.index("{"))
        made = json.dumps(Instance(schema, prompt).value(), ensure_ascii=False)
        return made if form else f"Certainly! Here it is:\n```json\n{made}\n```\nI hope this helps."
    return "All is well. " + " ".join(prompt.split()[:20])


def picture(
    prompt: str, body: dict[str, Any], rule: Mapping[str, Any], unsupported: Collection[str]
) -> Response:
    """A picture of the asked size as base64, in one colour."""
    size = body.get("size") or "1024x1024"
    width, _, height = ("1024x1024" if size == "auto" else size).partition("x")
    data = _png(int(width), int(height), len(prompt) % 256)
    if rule.get("action") in ("empty", "broken_json"):
        data = "" if rule["action"] == "empty" else data[: len(data) // 8 * 4]
    tokens = {"input_tokens": len(prompt) // 4 + 1, "output_tokens": 1056}
    details = {"text_tokens": tokens["input_tokens"], "image_tokens": 0}
    usage = {**tokens, "total_tokens": sum(tokens.values()), "input_tokens_details": details}
    return JSONResponse({"created": 1_700_000_000, "data": [{"b64_json": data}], "usage": usage})


@functools.lru_cache(maxsize=64)
def _png(width: int, height: int, shade: int) -> str:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (shade, 90, 160)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def vectors(
    prompt: str, body: dict[str, Any], rule: Mapping[str, Any], unsupported: Collection[str]
) -> Response:
    """Embeddings, the last text's first. What all texts have in common puts them at 0.8."""
    texts = body["input"]
    rows = WordLlamaSimilarity().vectors(texts)
    data = [{"index": index, "embedding": [*map(float, row), 2.0]} for index, row in enumerate(rows)]
    tokens = sum(len(text) // 4 + 1 for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"data": data[::-1], "model": body["model"], "usage": usage})


def plain(content: Any) -> str:
    """A message's content as text."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content)
    return str(content or "")
