"""Whether a server offers a model, asked without a completion."""

from __future__ import annotations

import json

import openai

from pressroom.adapters.models.openai_errors import translate
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.text import did_you_mean

NAMED = 5
_UNKNOWN = (openai.NotFoundError, openai.BadRequestError)


async def check_offered(client: openai.AsyncOpenAI, model: str, *, connection: str, secret: str) -> str:
    """See that the server takes the key and has the model. What cannot be found out is returned in words.

    Raises ConfigurationError or TransientError. A model that is not listed may still be known by its name:
    aliases are.
    """
    where = f"connection {connection!r}"
    try:
        listed = await _listed(client)
        if model in listed:
            return ""
        await client.models.retrieve(model)
    except _UNKNOWN:
        if not listed:
            return f"{where}: the server does not list its models, so {model!r} is not verified"
        some = ", ".join(listed[:NAMED]) + (", …" if len(listed) > NAMED else "")
        raise ConfigurationError(
            f"{where}: the server has no model {model!r}: name one that it has ({some}) in the connection's"
            f" extra or in the definition{did_you_mean(model, listed)}"
        ) from None
    except (openai.OpenAIError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise translate(error, connection=connection, secret=secret) from None
    return ""


async def _listed(client: openai.AsyncOpenAI) -> list[str]:
    try:
        page = await client.models.list()
    except (*_UNKNOWN, openai.UnprocessableEntityError):  # some compatible servers have no such list
        return []
    return sorted(str(model.id) for model in page.data or [])
