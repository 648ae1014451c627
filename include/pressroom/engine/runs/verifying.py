"""The check of a run's set-up before it spends anything."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pressroom.domain.errors import PressroomError, TransientError
from pressroom.domain.run import Run
from pressroom.pipelines.needs import Need, Probe
from pressroom.pipelines.stage import Pipeline

SECONDS = 20.0
"""How long one check may take."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFacts:
    """A model that runs call. ``asked``: in which ways; ``learned``: what its server takes. '' is nothing."""

    connection: str
    model: str
    price: str
    asked: str = ""
    learned: str = ""

    def __str__(self) -> str:
        named = {"price": self.price, "asked with": self.asked, "learned": self.learned}
        facts = ". ".join(f"{name}: {fact}" for name, fact in named.items() if fact)
        return f"{self.model}, connection {self.connection!r}. {facts}"


@dataclass(frozen=True)
class CheckResult:
    """What one check found. ``where``: the stages or steps that need it.

    ``problem``: a run would fail on it, as a whole, or (``partial``) for some of its items. ``model``:
    nothing is wrong, and this is what is used.
    """

    where: str
    text: str
    problem: bool
    partial: bool = False
    model: ModelFacts | None = None

    @property
    def refuses(self) -> bool:
        """Whether the run must not begin."""
        return self.problem and not self.partial

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


async def verify(
    pipeline: Pipeline,
    run: Run,
    probe: Probe,
    seconds: float = SECONDS,
    only: Collection[str] | None = None,
) -> list[CheckResult]:
    """Check everything that the stages of a run need, concurrently and each need once. Empty when all is
    well. ``only``: the names of needs; None: all of them.

    A need that cannot be checked now, because a service is down, is a warning: the service may come back.
    """
    checks = (
        _check(need, ", ".join(where), probe, seconds)
        for need, where in needs_of(pipeline, run)
        if only is None or need.name in only
    )
    results = dict.fromkeys(result for result in await asyncio.gather(*checks) if result)
    return sorted(results, key=lambda result: not result.problem)


def needs_of(pipeline: Pipeline, run: Run) -> list[tuple[Need, list[str]]]:
    """What the stages of a run need, each need once, with the names of the stages that need it."""
    needs: dict[str, tuple[Need, list[str]]] = {}
    for stage in pipeline.stages:
        for need in stage.needs(run):
            shared, where = needs.get(need.name, (need, []))
            # What one stage can do without, another one may depend on.
            needs[need.name] = (need if shared.optional else shared, [*where, stage.name])
    return list(needs.values())


async def _check(need: Need, where: str, probe: Probe, seconds: float) -> CheckResult | None:
    try:
        note = await asyncio.wait_for(need.check(probe), seconds)
    except TimeoutError:
        return CheckResult(
            where, f"no answer within {seconds:g} seconds, so it is not verified", problem=False
        )
    except TransientError as error:
        return CheckResult(where, f"it cannot be verified now: {error}", problem=False)
    except PressroomError as error:
        return CheckResult(where, str(error), problem=not need.optional, partial=need.partial)
    except Exception as error:  # a defect of a check must not stop a run that may be fine
        log.exception("a check for %s broke", where)
        return CheckResult(where, f"it cannot be verified: unexpected {type(error).__name__}", problem=False)
    return CheckResult(where, note, problem=False) if note else None


def summary(problems: Sequence[CheckResult]) -> str:
    """Why a run is refused: one line for each problem."""
    return "\n".join(["the set-up is incomplete; nothing was spent:", *map(str, problems)])
