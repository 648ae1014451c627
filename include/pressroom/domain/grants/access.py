"""What an account may name of the installation's: the one rule that checking, runs, hooks and pages ask.

Connections, private hosts, folders and assets are global in Airflow or on the machine. An account may name
those that it is granted, and those that are shared with every account. The only account of an installation
may name everything as long as it is granted nothing. What an account may not name does not exist for it: a
message about it is the same as for what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pressroom.domain.errors import ConfigurationError

OWN_DATABASE = "pressroom_db"
"""The connection to Pressroom's own database, which no definition may name."""


class GrantKind(StrEnum):
    """What can be granted."""

    EVERYTHING = "everything"
    CONNECTION = "connection"
    HOST = "host"
    FILE_ROOT = "file_root"
    ASSET = "asset"


Name = tuple[GrantKind, str]
"""One thing that definitions can name. The name of ``everything`` is empty."""

EVERYTHING: Name = (GrantKind.EVERYTHING, "")


@dataclass(frozen=True)
class Access:
    """What an account may name. ``account``: its slug; ``names``: granted to it, shared, or its own."""

    account: str
    names: frozenset[Name] = frozenset()

    @property
    def everything(self) -> bool:
        """Whether it may name whatever there is."""
        return EVERYTHING in self.names

    def permits(self, kind: GrantKind, name: str) -> bool:
        """Whether the account may name it. A folder below a granted one counts as granted."""
        if kind is GrantKind.CONNECTION and name == OWN_DATABASE:
            return False
        if self.everything or (kind, name) in self.names:
            return True
        return kind is GrantKind.FILE_ROOT and any(within(name, root) for root in self._all(kind))

    def must_permit(self, kind: GrantKind, name: str) -> None:
        """Raises ConfigurationError with the remedy when the account may not name it."""
        if not self.permits(kind, name):
            raise ConfigurationError(self.missing(kind, name))

    def missing(self, kind: GrantKind, name: str) -> str:
        """What is wrong when the account names what is missing or not its own, and the remedy."""
        grant = f"an operator grants it: pressroom grant {self.account} --{_OPTIONS.get(kind, kind)} {name}"
        match kind:
            case GrantKind.CONNECTION:
                add = f"add it to airflow_settings.yaml, or set AIRFLOW_CONN_{name.upper()}"
                if self.everything:
                    return f"the Airflow connection {name!r} does not exist: {add}"
                return (
                    f"the Airflow connection {name!r} does not exist for the account {self.account}:"
                    f" {add}; {grant}"
                )
            case GrantKind.HOST:
                return f"the account {self.account} may not fetch from the private host {name}: {grant}"
            case GrantKind.FILE_ROOT:
                return f"the account {self.account} may not read {name}: {grant}"
            case _:
                return f"there is no asset {name!r} for the account {self.account}: {grant}"

    def hosts(self, permitted: Iterable[str]) -> list[str]:
        """Those of the installation's private hosts that the account may fetch from."""
        return [host for host in permitted if self.permits(GrantKind.HOST, host)]

    def file_roots(self, permitted: Sequence[str]) -> list[str]:
        """The folders of the installation that the account may read: of a root and a grant the narrower."""
        if self.everything:
            return list(permitted)
        roots = [root for root in permitted if self.permits(GrantKind.FILE_ROOT, root)]
        granted = self._all(GrantKind.FILE_ROOT)
        return [*roots, *(name for name in granted if any(within(name, root) for root in permitted))]

    def with_names(self, names: Iterable[Name]) -> Access:
        """The same with more names."""
        return Access(self.account, self.names | set(names))

    def _all(self, kind: GrantKind) -> list[str]:
        return sorted(name for each, name in self.names if each is kind)


NOTHING = Access("")
"""Of an account that nobody has looked up."""

_OPTIONS = {GrantKind.FILE_ROOT: "files"}
"""How the command calls a kind, where not by its own name."""


def within(path: str, root: str) -> bool:
    """Whether a folder is the root, or below it."""
    path, root = path.rstrip("/"), root.rstrip("/")
    return ".." not in path.split("/") and (path == root or path.startswith(f"{root}/"))
