"""The check of definitions from the API: their templates are tried in a process of their own.

A template can run for hours or fill the memory, and a sandbox within a process cannot prevent that. So the
trial gets a process with limits on time and memory. Definitions without a template are checked in this
process.

``python -m pressroom.definitions.trial`` reads an object (kind, definition, most) and writes a list of
[path, text, line].
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any, TypeVar

from pressroom.definitions.checking import DefinitionProblem, check
from pressroom.domain.definitions import Definition
from pressroom.domain.errors import TransientError
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import KINDS
from pressroom.domain.text import to_json

D = TypeVar("D", bound=Definition)

CPU_SECONDS = 3
MEMORY_BYTES = 1 << 30
LONGEST_SECONDS = 30.0
"""How long to wait for the process, which may have to wait for a processor itself."""
TOO_MUCH = "its templates take too much time or memory when they are tried: shorten their loops"

_at_once = threading.BoundedSemaphore(2)


def check_bounded(
    model: type[D], data: Mapping[str, Any], *, most: int | None = None
) -> tuple[D | None, list[DefinitionProblem]]:
    """As ``check``, within limits. Raises TransientError when others are being checked for too long."""
    definition, wrong = check(model, data, most=most, templates=False)
    if definition is None or not _has_templates(definition):
        return definition, wrong
    asked = to_json(
        {"kind": definition.model_dump(include={"kind"})["kind"], "definition": data, "most": most}
    )
    if not _at_once.acquire(timeout=LONGEST_SECONDS):
        raise TransientError("other definitions are being checked", retry_after=5)
    try:
        process = subprocess.run(  # ourselves
            [sys.executable, "-m", __name__], input=asked.encode(), capture_output=True, check=False,
            timeout=LONGEST_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, [DefinitionProblem((), TOO_MUCH)]
    finally:
        _at_once.release()
    if process.returncode != 0:
        return None, [DefinitionProblem((), TOO_MUCH)]
    problems = [DefinitionProblem(tuple(path), text, line) for path, text, line in json.loads(process.stdout)]
    return (None, problems) if problems else (definition, [])


def _has_templates(definition: Definition) -> bool:
    overrides = getattr(definition, "prompts", None)
    return isinstance(definition, Flow) or (
        overrides is not None and bool(overrides.model_dump(exclude_none=True, exclude_defaults=True))
    )


def main() -> None:
    """The process of the trial."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asked = json.load(sys.stdin)
    _, wrong = check(KINDS[asked["kind"]].model, asked["definition"], most=asked["most"])
    json.dump([[list(each.path), each.text, each.line] for each in wrong], sys.stdout)


if __name__ == "__main__":
    main()
