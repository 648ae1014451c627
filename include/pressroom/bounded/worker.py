"""The process in which what others wrote is worked on.

``python -m pressroom.bounded.worker [NICENESS]`` reads calls of ``bounded.process`` from its input and writes
an answer to each. The function's module is imported once; each call is worked on by a fork, with limits on
time and memory. The process ends with its parent, and when it was not asked for a while.

Linux bounds memory itself. Elsewhere a timer looks every few milliseconds how much there is.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pickle
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pressroom.bounded.process import CallLimits, framed, read_frame
from pressroom.domain.errors import PressroomError

IDLE_SECONDS = 600.0
LOOK_SECONDS = 0.02
_STATM = Path("/proc/self/statm")
_NO_MEMORY = 3
"""How a fork ends that needs too much memory."""


def main() -> None:
    """Answer until the input ends. What anything here prints goes nowhere."""
    os.nice(int(*sys.argv[1:2]))
    answers = os.fdopen(os.dup(1), "wb")
    questions = os.fdopen(os.dup(0), "rb", buffering=0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(nowhere, handle)
    while select.select([questions], [], [], IDLE_SECONDS)[0] and (head := _read(questions)):
        payload = _read(questions)
        asked = json.loads(head)
        answers.write(framed(_answer(asked["function"], payload, CallLimits(**asked["limits"]), questions)))
        answers.flush()


def _read(pipe: Any) -> bytes:
    """The bytes of the next frame of an unbuffered pipe."""
    return read_frame(_WholeReads(pipe))  # type: ignore[arg-type]


class _WholeReads:
    """Reads as many bytes as are asked for: an unbuffered pipe gives what there is."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe

    def read(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size and (part := self._pipe.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _answer(name: str, payload: bytes, limits: CallLimits, questions: Any) -> bytes:
    try:
        function = _function(name)
    except Exception as error:  # noqa: BLE001 - the caller learns that it is the set-up's fault
        return _dumped(
            {"error": ["ConfigurationError", f"{name} cannot be loaded: {type(error).__name__}: {error}"]}
        )
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            _limit(limits)
            answer = _dumped(_outcome(function, payload))
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(answer)
        except MemoryError:
            os._exit(_NO_MEMORY)
        finally:
            os._exit(0)  # without a word, whatever it was: an answer that is missing says it all
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        answer, why = _collect(pipe, limits, questions, child)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return answer or _dumped({"too_much": why or _why(status, limits)})


def _function(name: str) -> Callable[..., Any]:
    """The function, with what it needs loaded: each fork would load it again, at its own cost."""
    module, _, own = name.partition(":")
    known = module in sys.modules
    function: Callable[..., Any] = getattr(importlib.import_module(module), own)
    if not known:
        warm_up = getattr(sys.modules[module], "warm_up", None)
        if warm_up is not None:
            warm_up()
        gc.collect()
        gc.freeze()
    return function


def _outcome(function: Callable[..., Any], payload: bytes) -> Mapping[str, Any]:
    try:
        return {"value": function(*pickle.loads(payload))}  # noqa: S301 - its parent's own objects
    except PressroomError as error:
        kind = next(base.__name__ for base in type(error).__mro__ if base.__name__ in _KINDS)
        return {"error": [kind, str(error)]}
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - told to the caller, whose defect it is
        return {"defect": f"{type(error).__name__}: {str(error)[:500]}"}


_KINDS = frozenset({"TransientError", "ConfigurationError", "PermanentError", "PressroomError"})


def _collect(pipe: Any, limits: CallLimits, questions: Any, child: int) -> tuple[bytes, str]:
    """What the fork answers, or why it is not waited for."""
    until = time.monotonic() + limits.seconds
    parts: list[bytes] = []
    size = 0
    while True:
        left = until - time.monotonic()
        # The parent asks nothing meanwhile: if there is anything to be read, it has ended.
        ready = select.select([pipe, questions], [], [], max(0.0, left))[0]
        if questions in ready and pipe not in ready:
            os.kill(child, signal.SIGKILL)
            sys.exit()
        if not ready:
            return b"", f"it takes more than {limits.seconds:g} seconds"
        part = pipe.read(1 << 16)
        if not part:
            return b"".join(parts), ""
        size += len(part)
        if size > limits.answer_bytes:
            return b"", f"it gives more than {limits.answer_bytes:,} bytes"
        parts.append(part)


def _why(status: int, limits: CallLimits) -> str:
    """Why a fork ended without an answer."""
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == _NO_MEMORY:
        return _memory(limits)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return f"it takes more than {limits.cpu_seconds} seconds of processor time"
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGABRT:
        return _memory(limits)  # how libraries in C and Rust end that get none
    return "it ends the process that works on it"


def _memory(limits: CallLimits) -> str:
    return f"it needs more than {limits.memory_bytes >> 20:,} MB of memory"


def _limit(limits: CallLimits) -> None:
    """Limit this process: what it has by now is its parent's, and not counted."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    seconds = int(used) + 1 + limits.cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _STATM.exists():
        pages = int(_STATM.read_text().split()[0])
        most = pages * resource.getpagesize() + limits.memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    else:
        _watch_memory(limits.memory_bytes)


def _watch_memory(most: int) -> None:
    """End this process when it has so many bytes more than now."""
    unit = 1 if sys.platform == "darwin" else 1024

    def held() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    before = held()

    def look(*_: object) -> None:
        if held() - before > most:
            os._exit(_NO_MEMORY)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_SECONDS, LOOK_SECONDS)


def _dumped(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer, default=lambda value: value.to_data()).encode("utf-8", "surrogatepass")


if __name__ == "__main__":
    main()
