"""The check of definitions before they are stored: they are tried in a process of their own.

A template can run for hours or fill the memory, and a sandbox within a process cannot prevent that. What
Airflow makes of a definition is first seen when its DAG is built and serialized, and that would happen in a
process that all accounts share. So the trial gets a process with limits on time and memory. It is started by
name: Airflow lives there, and not here.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from pressroom.definitions.checking import DefinitionProblem, check
from pressroom.domain.definitions import BrandContext, Definition
from pressroom.domain.errors import ConfigurationError, TransientError
from pressroom.domain.text import to_json

D = TypeVar("D", bound=Definition)

TRIAL = "pressroom.orchestration.dags.trial"
CPU_SECONDS = 3
MEMORY_BYTES = 1 << 30
LONGEST_SECONDS = 30.0
"""How long to wait for an answer, whose process may have to wait for a processor itself."""
START_SECONDS = 120.0
"""How long its start may take: Airflow's import is seconds of CPU, once."""
TOGETHER = 25
"""Definitions that are tried within the limits of one: an ordinary one takes a hundredth of them."""
WAIT_SECONDS = 5.0
"""How long to wait for the trials of others."""
TOO_MUCH = (
    "it takes too much time or memory when it is tried: shorten the loops of its templates, or the definition"
)


class Trial:
    """The process of the trial. It is started when it is first needed, and again when it has ended."""

    def __init__(self, module: str = TRIAL) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._home: tempfile.TemporaryDirectory[str] | None = None

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
            answer = self._locked(some, most, wait)
            if answer is not None:
                wrong += answer
            elif len(some) == 1:
                wrong.append([DefinitionProblem((), TOO_MUCH)])
            else:
                for definition in some:
                    wrong += self.problems([definition], most=most, wait=wait)
        return wrong

    def close(self) -> None:
        """End the process. The next question starts another one."""
        with self._lock:
            self._end()

    def _locked(
        self, definitions: Sequence[Definition], most: int | None, wait: float
    ) -> list[list[DefinitionProblem]] | None:
        """What is wrong with each; None when they take too much."""
        question = to_json(
            {"definitions": [each.model_dump(mode="json") for each in definitions], "most": most}
        )
        if not self._lock.acquire(timeout=wait):
            raise TransientError("other definitions are being checked", retry_after=5)
        try:
            answer = self._ask(question)
        finally:
            self._lock.release()
        if answer is None:
            return None
        return [
            [DefinitionProblem(tuple(path), text, line) for path, text, line in wrong] for wrong in answer
        ]

    def _ask(self, question: str) -> list[Any] | None:
        # One that was not asked for long has ended, maybe at this very moment.
        for _ in range(2):
            process = self._started()
            try:
                line = self._exchange(process, question)
            except BrokenPipeError:
                line = ""
            if line:
                answer: list[Any] | None = json.loads(line)
                return answer
            self._end()
        raise ConfigurationError(
            f"definitions cannot be checked: the process for it ({self._module}) ends at once. It needs"
            f" Airflow: try `{sys.executable} -m {self._module}`"
        )

    def _exchange(self, process: subprocess.Popen[str], question: str) -> str:
        if process.stdin is None or process.stdout is None:
            raise TypeError("the process of the trial has no pipes")
        process.stdin.write(question + "\n")
        process.stdin.flush()
        if select.select([process.stdout], [], [], START_SECONDS + LONGEST_SECONDS)[0]:
            return process.stdout.readline()
        self._end()
        raise TransientError("the process that checks definitions does not answer", retry_after=30)

    def _started(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        env = dict(os.environ)
        if "AIRFLOW_HOME" not in env:
            # Airflow would write its configuration to the user's home.
            self._home = tempfile.TemporaryDirectory(prefix="pressroom-trial-")
            env["AIRFLOW_HOME"] = self._home.name
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module], env=env, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            process.wait()
        if self._home is not None:
            self._home.cleanup()
            self._home = None


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
