"""Calls of functions in a process of their own, with limits on time, memory and the size of what they return.

A template, a feed and a definition are programs for whoever reads them: they can run for hours, fill the
memory, or break a parser that is written in C. No guard within a process prevents that. So what others wrote
is worked on elsewhere (``bounded.worker``), and what it does there harms nothing else.

A function is named, not passed: what it imports is loaded there, and not here.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import pressroom
from pressroom.domain.errors import ConfigurationError, PermanentError, TooMuch, TransientError

WORKER = "pressroom.bounded.worker"
LOW = 5
"""The niceness of what gives way: it gets a third of what others get who want a processor as well."""
START_SECONDS = 120.0
"""How long its start may take, with all that it imports: Airflow's import is seconds of CPU."""
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
)
"""The variables that the process gets. Connections and keys are in others."""
_PACKAGES = str(Path(pressroom.__file__).parent.parent)


@dataclass(frozen=True)
class CallLimits:
    """What one call may take. ``cpu_seconds``: of a processor; ``seconds``: by the clock, waiting for a
    processor included; ``memory_bytes``: beside what the process has anyway; ``answer_bytes``: of the result
    as JSON.
    """

    cpu_seconds: int = 3
    seconds: float = 60.0
    memory_bytes: int = 256 << 20
    answer_bytes: int = 8 << 20


class BoundedProcess:
    """A process that works on one call after the other, each in a fork of its own.

    It is started when it is first needed, and again when it has ended. ``with_airflow``: it gets the whole
    environment, and a home for Airflow when there is none. ``gives_way``: to what else wants a processor, for
    servers, whose other callers do not wait for it.
    """

    def __init__(self, *, with_airflow: bool = False, gives_way: bool = False) -> None:
        self._with_airflow, self._niceness = with_airflow, LOW if gives_way else 0
        self._forget()
        atexit.register(self.close)

    async def call(self, function: str, *args: Any, limits: CallLimits = CallLimits()) -> Any:
        """What the function returns for the arguments, as JSON. The event loop goes on meanwhile.

        ``function``: as in ``package.module:name``. Raises TooMuch when it takes more than it may, and the
        errors of ``domain.errors`` that the function raises. A call that is cancelled is ended at once.
        """
        self._own()
        question = _Question(function, args, limits)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, question)
        except asyncio.CancelledError:
            self._give_up(question)
            raise

    def ask(self, function: str, *args: Any, limits: CallLimits = CallLimits(), wait: float = -1) -> Any:
        """As ``call``, for callers without an event loop.

        Raises TransientError when other calls are worked on for longer than ``wait`` seconds; -1: no bound.
        """
        self._own()
        return self._ask(_Question(function, args, limits), wait)

    def close(self) -> None:
        """End the process. The next call starts another one."""
        self._own()
        with self._lock:
            self._end()

    def _own(self) -> None:
        """Let go of what belongs to the process that this one was forked from."""
        if self._pid != os.getpid():
            self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._state = threading.Lock()
        # Of its own: calls that wait here must not hold the threads that asyncio has for everything.
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="bounded")
        self._process: subprocess.Popen[bytes] | None = None
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._asked: _Question | None = None

    def _ask(self, question: _Question, wait: float = -1) -> Any:
        if not self._lock.acquire(timeout=wait):
            raise TransientError("others are being worked on", retry_after=5)
        try:
            return _value_of(self._answer(question))
        finally:
            with self._state:
                self._asked = None
            self._lock.release()

    def _give_up(self, question: _Question) -> None:
        with self._state:
            question.given_up = True
            if self._asked is question and self._process is not None:
                _kill(self._process)

    def _answer(self, question: _Question) -> Mapping[str, Any]:
        # One that was not asked for long has ended, maybe at this very moment.
        for _ in range(2):
            with self._state:
                if question.given_up:
                    break
                self._asked = question
                process = self._started()
            try:
                answer = self._exchange(process, question)
            except BrokenPipeError:
                answer = b""
            if answer:
                value: Mapping[str, Any] = json.loads(answer)
                return value
            with self._state:
                self._end()
        if question.given_up:
            raise TransientError("the call was given up")
        raise ConfigurationError(
            f"the process with limits ends at once: try `{sys.executable} -m {WORKER}`, which needs what"
            f" {question.function} imports"
        )

    def _exchange(self, process: subprocess.Popen[bytes], question: _Question) -> bytes:
        if process.stdin is None or process.stdout is None:
            raise TypeError("the process has no pipes")
        process.stdin.write(question.frame)
        process.stdin.flush()
        # select() takes no file number above 1023, which a server with many streams has.
        answer = select.poll()
        answer.register(process.stdout, select.POLLIN)
        if not answer.poll(1000 * (START_SECONDS + question.limits.seconds)):
            self._end()
            raise TransientError("the process with limits does not answer", retry_after=30)
        return read_frame(process.stdout)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        own = os.environ if self._with_airflow else {k: os.environ[k] for k in _PASSED_ON if k in os.environ}
        env = {**own, "PYTHONPATH": os.pathsep.join(filter(None, [_PACKAGES, own.get("PYTHONPATH", "")]))}
        if self._with_airflow and "AIRFLOW_HOME" not in env:
            # Airflow would write its configuration to the user's home.
            self._home = tempfile.TemporaryDirectory(prefix="pressroom-bounded-")
            env["AIRFLOW_HOME"] = self._home.name
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER, str(self._niceness)], env=env, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _kill(process)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            process.wait()
        if self._home is not None:
            self._home.cleanup()
            self._home = None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process with the fork that is at work."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


class _Question:
    """One call. ``given_up``: whoever asked does not wait any more."""

    def __init__(self, function: str, args: tuple[Any, ...], limits: CallLimits) -> None:
        self.function, self.limits = function, limits
        self.given_up = False
        # Only this process's own objects are pickled. What comes back is JSON.
        payload = pickle.dumps(args)
        head = json.dumps({"function": function, "limits": asdict(limits)}).encode()
        self.frame = framed(head) + framed(payload)


def _value_of(answer: Mapping[str, Any]) -> Any:
    if "value" in answer:
        return answer["value"]
    if "too_much" in answer:
        raise TooMuch(answer["too_much"])
    if "error" in answer:
        name, message = answer["error"]
        raise {"TransientError": TransientError, "ConfigurationError": ConfigurationError}.get(
            name, PermanentError
        )(message)
    raise RuntimeError(answer["defect"])


def framed(data: bytes) -> bytes:
    """Bytes with their number before them."""
    return len(data).to_bytes(8, "big") + data


def read_frame(pipe: IO[bytes]) -> bytes:
    """The bytes of the next frame; b'' at the end."""
    size = pipe.read(8)
    data = pipe.read(int.from_bytes(size, "big")) if len(size) == 8 else b""
    return data if len(size) == 8 and len(data) == int.from_bytes(size, "big") else b""


SHARED = BoundedProcess()
"""The process of this process: for templates, and for what sources send."""
