"""Whether a model is offered, at servers that list their models in all the ways there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
import openai
import pytest

from pressroom.adapters.models.offered import check_offered
from pressroom.domain.errors import ConfigurationError, TransientError

KEY = "sk-proj-abcdefghijklmnop123456"
Answer = tuple[int, Any]


def listing(*names: str, owner: str = "someone") -> Answer:
    return 200, {
        "object": "list",
        "data": [{"id": name, "object": "model", "owned_by": owner} for name in names],
    }


def refusal(status: int, words: str = "no") -> Answer:
    return status, {"error": {"message": f"{words} ({KEY})", "type": "invalid_request_error"}}


async def offered(
    model: str, models: Answer, known: Mapping[str, Answer] = {}, host: str = "api.example"
) -> str:
    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.method == "GET"
        name = request.url.path.removeprefix("/v1/models").removeprefix("/")
        status, body = known.get(name, known.get("*", refusal(404))) if name else models
        return httpx2.Response(status, json=body)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    base = f"https://{host}/v1"
    async with openai.AsyncOpenAI(api_key=KEY, base_url=base, max_retries=0, http_client=http) as client:
        return await check_offered(client, model, connection="text", secret=KEY)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 410, 422, 501])
async def test_a_server_without_a_list_or_with_a_key_that_may_not_list_is_not_verified(status: int) -> None:
    said = await offered("m", refusal(status), {"*": refusal(status)})
    assert said == "connection 'text': the server does not list its models, so 'm' is not verified"


@pytest.mark.parametrize(
    "words",
    ["You have insufficient permissions. Missing scopes: api.model.read", "x-api-key header is required"],
    ids=["OpenAI", "Anthropic"],
)
async def test_a_key_that_may_complete_and_not_list_is_not_called_wrong(words: str) -> None:
    assert "is not verified" in await offered("m", refusal(401, words), {"*": refusal(401, words)})


async def test_a_wrong_key_is_a_problem_without_the_key() -> None:
    with pytest.raises(ConfigurationError, match="401") as caught:
        await offered("m", refusal(401, "Incorrect API key provided"))
    assert KEY not in str(caught.value)
    with pytest.raises(ConfigurationError, match="401"):
        await offered("m", refusal(404), {"m": refusal(401)})


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_a_server_that_is_down_may_come_back(status: int) -> None:
    with pytest.raises(TransientError):
        await offered("m", refusal(status))


@pytest.mark.parametrize("status", [403, 404, 405, 501])
async def test_a_model_that_is_not_listed_nor_known_is_a_problem(status: int) -> None:
    names = [f"model-{number}" for number in range(5000)]
    with pytest.raises(ConfigurationError, match="no model 'modell-7': name one") as caught:
        await offered("modell-7", listing(*names), {"*": refusal(status)})
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("b", ["a", "b"]),
        ("openai/gpt-x", ["openai/*", "local"]),
        ("vendor/model:free", ["vendor/model"]),
        ("vendor/model:fastest", ["vendor/model"]),
    ],
    ids=["by its name", "by a gateway's pattern", "a variant", "a provider"],
)
async def test_a_listed_model_is_offered(model: str, listed: list[str]) -> None:
    assert await offered(model, listing(*listed)) == ""


async def test_a_pattern_is_one_by_its_star_alone() -> None:
    with pytest.raises(ConfigurationError):
        await offered("model-1", listing("model-[12]", "model-?"))


async def test_an_alias_that_the_server_knows_is_offered() -> None:
    known = {"newest": (200, {"id": "m-2", "object": "model", "owned_by": "x"})}
    assert await offered("newest", listing("m-1", "m-2"), known) == ""


async def test_a_deployment_is_not_among_the_models_that_azure_lists() -> None:
    said = await offered("our-writer", listing("gpt-x"), host="acme.openai.azure.com")
    assert "Azure does not list its deployments, so 'our-writer' is not verified" in said
    with pytest.raises(ConfigurationError):
        await offered("our-writer", listing("gpt-x"), host="azure.com.example")


async def test_a_server_of_one_model_takes_any_name() -> None:
    said = await offered("local", listing("/models/a.gguf", owner="llamacpp"))
    assert said == "connection 'text': the server answers with '/models/a.gguf', and not with a model 'local'"
    with pytest.raises(ConfigurationError):
        await offered("local", listing("a", "b", owner="llamacpp"))


async def test_a_list_that_is_none_is_not_taken_for_one() -> None:
    assert "is not verified" in await offered("m", (200, {"object": "list", "data": None}))
