"""Whether a server offers a model, asked without a completion."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase

import openai

from pressroom.adapters.models.openai_errors import said, translate
from pressroom.adapters.models.settings import AZURE
from pressroom.domain.errors import ConfigurationError
from pressroom.domain.text import did_you_mean

NAMED = 5
_NO_ANSWER = frozenset({400, 403, 404, 405, 410, 422, 501})
"""Refusals of the question: the server has no such list, or the key may complete and not list."""
_NOT_THE_KEY = ("scope", "header is required")
"""Words of a 401 that says nothing of the key: it may not list (OpenAI), or not in this form (Anthropic)."""


async def check_offered(client: openai.AsyncOpenAI, model: str, *, connection: str, secret: str) -> str:
    """See that the server takes the key and has the model. What cannot be found out is returned in words.

    Raises ConfigurationError or TransientError. A model that is not listed may still be known by its name:
    aliases are.
    """
    where = f"connection {connection!r}"
    try:
        listed, owners, deployable = await _listed(client)
        if _among(model, listed) or await _known(client, model):
            return ""
    except (openai.OpenAIError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise translate(error, connection=connection, secret=secret) from None
    if not listed:
        return f"{where}: the server does not list its models, so {model!r} is not verified"
    if deployable or client.base_url.host.endswith(AZURE):
        return f"{where}: Azure does not list its deployments, so {model!r} is not verified"
    if owners == ["llamacpp"]:
        return f"{where}: the server answers with {listed[0]!r}, and not with a model {model!r}"
    some = ", ".join(listed[:NAMED]) + (", …" if len(listed) > NAMED else "")
    raise ConfigurationError(
        f"{where}: the server has no model {model!r}: name one that it has ({some}) in the connection's"
        f" extra or in the definition{did_you_mean(model, listed)}"
    )


def _among(model: str, listed: Sequence[str]) -> bool:
    """Whether the list holds the model: by its name, by a pattern of a gateway (``openai/*``), or without
    the variant that a router takes behind a colon (``:free``, ``:fastest``).
    """
    patterns = (name for name in listed if "*" in name)
    return (
        model in listed
        or f"models/{model}" in listed  # Gemini's names
        or model.rpartition(":")[0] in listed
        or any(fnmatchcase(model, pattern) for pattern in patterns)
    )


async def _listed(client: openai.AsyncOpenAI) -> tuple[list[str], list[str], bool]:
    """The names of the server's models, and who owns each; none when the server does not say. Whether they
    are those that can be deployed, as Azure lists them, also behind a gateway of another name.
    """
    try:
        page = await client.models.list()
    except openai.APIStatusError as error:
        if _refuses_the_question(error):
            return [], [], False
        raise
    models = sorted(page.data or [], key=lambda model: str(model.id))
    deployable = any("lifecycle_status" in (model.model_extra or {}) for model in models)
    return [str(model.id) for model in models], [str(model.owned_by) for model in models], deployable


async def _known(client: openai.AsyncOpenAI, model: str) -> bool:
    try:
        await client.models.retrieve(model)
    except openai.APIStatusError as error:
        if _refuses_the_question(error):
            return False
        raise
    return True


def _refuses_the_question(error: openai.APIStatusError) -> bool:
    if error.status_code == 401:
        return any(words in said(error).lower() for words in _NOT_THE_KEY)
    return error.status_code in _NO_ANSWER
