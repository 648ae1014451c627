"""The services of one runner: on ports of their own, written down as they start, and ended together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from pressroom_dev.local import processes
from pressroom_dev.local.ports import PortReservations
from pressroom_dev.local.processes import Child
from pressroom_dev.local.sessions import Registry

Report = Callable[[str, str], None]


class Running:
    """What runs below one root. ``report``: called with a service's name and what happened to it."""

    def __init__(self, root: Path, project: Path, extra_env: Mapping[str, str], report: Report) -> None:
        self.root, self.project, self.report = root, project, report
        self.extra_env = dict(extra_env)
        self.ports = PortReservations()
        self._registry = Registry(root / "processes.json")
        self._children: list[Child] = []

    @property
    def children(self) -> tuple[Child, ...]:
        """The running services."""
        return tuple(self._children)

    def environment(self) -> dict[str, str]:
        """The caller's environment, so that a service finds the packages."""
        env = dict(os.environ)
        # Without byte code each start and each task would compile what it imports.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        paths = [str(self.project / "include"), str(self.project / "config"), env.get("PYTHONPATH", "")]
        env["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        env["PYTHONUNBUFFERED"] = "1"
        # By default each thread of a server keeps freed memory of its own, up to eight heaps a core.
        env.setdefault("MALLOC_ARENA_MAX", "2")
        return env

    def log(self, name: str) -> Path:
        """The log of a service."""
        return self.root / "logs" / f"{name.replace(' ', '-')}.log"

    def add(self, child: Child) -> Child:
        """Write a service down."""
        self._children.append(child)
        self._registry.write(child.session for child in self._children)
        return child

    def kill(self, name: str) -> None:
        """End a service as a crash would."""
        child = next(child for child in self._children if child.name == name)
        processes.kill(child)
        self._children.remove(child)

    def end_leftovers(self) -> None:
        """End what runs since a runner was killed, and its guard too."""
        for name in self._registry.end_leftovers():
            self.report(name, "ended: left over from a runner that was killed")

    def wait(self) -> None:
        """Stay until a service ends, which raises LocalServiceError with its log's end."""
        while True:
            for child in self._children:
                child.require_running()
            time.sleep(0.5)

    def stop(
        self, order: Iterable[tuple[Collection[str], float]], hurry: Callable[[], bool] = lambda: False
    ) -> None:
        """End everything. ``order``: names that end together, and the seconds that they have for it."""
        for names, grace in order:
            processes.stop(
                [child for child in self._children if child.name in names], grace=grace, hurry=hurry
            )
        self._children.clear()
        self._registry.clear()
        self.ports.release()
