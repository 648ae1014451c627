"""The check of definitions before they are stored: they are tried in a process with limits.

A template can run for hours or fill the memory. What Airflow makes of a definition is first seen when its DAG
is built and serialized, and that would happen in a process that all accounts share. The process is asked by
the name of a function: Airflow lives there, and not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pressroom.bounded.process import BoundedProcess, CallLimits
from pressroom.definitions.checking import DefinitionProblem, check
from pressroom.domain.definitions import BrandContext, Definition
from pressroom.domain.errors import TooMuch, TransientError

D = TypeVar("D", bound=Definition)

TRIAL = "pressroom.orchestration.dags.trial:problems_of"
LONGEST_SECONDS = 30.0
"""How long a trial may take by the clock: its process may have to wait for a processor itself."""
LIMITS = CallLimits(cpu_seconds=3, seconds=LONGEST_SECONDS, memory_bytes=1 << 30)
TOGETHER = 25
"""Definitions that are tried within the limits of one: an ordinary one takes a hundredth of them."""
WAIT_SECONDS = 5.0
"""How long to wait for the trials of others."""
TOO_MUCH = "when it is tried, {}: shorten the loops of its templates, or the definition"


class Trial:
    """Tries definitions, some at a time. ``function``: what tries them, as ``BoundedProcess`` names it;
    ``gives_way``: as there.
    """

    def __init__(self, function: str = TRIAL, *, gives_way: bool = False) -> None:
        self._function = function
        self._process = BoundedProcess(with_airflow=True, gives_way=gives_way)

    def problems(
        self, definitions: Sequence[Definition], *, most: int | None = None, wait: float = WAIT_SECONDS
    ) -> list[list[DefinitionProblem]]:
        """What is wrong with each definition, by its templates and by Airflow: at most ``most``; None: all.

        Some are tried together, which is several times quicker; when those take too much, each alone.
        Raises TransientError when others are being tried for longer than ``wait`` seconds,
        ConfigurationError when the process does not work.
        """
        wrong: list[list[DefinitionProblem]] = []
        for start in range(0, len(definitions), TOGETHER):
            some = definitions[start : start + TOGETHER]
            try:
                wrong += self._tried(some, most, wait)
            except TooMuch as error:
                if len(some) == 1:
                    wrong.append([DefinitionProblem((), TOO_MUCH.format(error))])
                else:
                    for definition in some:
                        wrong += self.problems([definition], most=most, wait=wait)
        return wrong

    def close(self) -> None:
        """End the process. The next question starts another one."""
        self._process.close()

    def _tried(
        self, definitions: Sequence[Definition], most: int | None, wait: float
    ) -> list[list[DefinitionProblem]]:
        data = [each.model_dump(mode="json") for each in definitions]
        try:
            answer = self._process.ask(self._function, data, most, limits=LIMITS, wait=wait)
        except TransientError as error:
            raise TransientError(
                f"definitions cannot be checked now: {error}", retry_after=error.retry_after
            ) from None
        return [
            [DefinitionProblem(tuple(path), text, line) for path, text, line in wrong] for wrong in answer
        ]


SHARED = Trial()
"""The trial of this process."""


def check_bounded(
    model: type[D], data: Mapping[str, Any], *, most: int | None = None, trial: Trial = SHARED
) -> tuple[D | None, list[DefinitionProblem]]:
    """As ``check``, within limits, and with what Airflow makes of it. Raises as ``Trial.problems``."""
    definition, wrong = check(model, data, most=most, templates=False)
    if definition is None or isinstance(definition, BrandContext):
        return definition, wrong
    [problems] = trial.problems([definition], most=most)
    return (None, problems) if problems else (definition, [])
