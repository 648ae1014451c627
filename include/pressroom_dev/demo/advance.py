"""`advance`: moves the simulator's clock."""

from __future__ import annotations

import re
from typing import Annotated

import httpx
import typer

from pressroom import settings
from pressroom.domain.errors import ConfigurationError, TransientError

_UNITS = {"m": 60, "h": 3600, "d": 86400}


def advance(duration: Annotated[str, typer.Argument(help="how far, e.g. 12h or 7d")]) -> None:
    """Advance the local simulator's clock, so that a mission's week passes in moments."""
    match = re.fullmatch(r"(\d+)([mhd])", duration)
    if match is None:
        raise typer.BadParameter("a number and m, h or d, such as 12h or 7d")
    url = settings.simulator_url()
    seconds = int(match[1]) * _UNITS[match[2]]
    try:
        answer = httpx.post(f"{url}/simulator/clock", json={"advance_seconds": seconds}, timeout=30)
        answer.raise_for_status()
        now = answer.json()["now"]
    except httpx.HTTPStatusError as error:
        raise ConfigurationError(
            f"{url} is not the simulator: it answers {error.response.status_code}"
        ) from None
    except httpx.HTTPError as error:
        raise TransientError(f"the simulator at {url} does not answer: {type(error).__name__}") from None
    typer.echo(f"it is now {now} for the simulator")
