"""How X weighs a text: the parser of twitter-text, which is imported here and nowhere else.

It reads its list of emoji through ``pkg_resources``. Setuptools has that module no longer, and an installed
package should not need setuptools at all, so a stand-in takes its place while the parser is imported.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from types import ModuleType
from typing import Any

_ABSENT = "pkg_resources"


def _resource_string(module: str, name: str) -> bytes:
    return files(module.rpartition(".")[0]).joinpath(name).read_bytes()


def _parser() -> Any:
    stand_in = ModuleType(_ABSENT)
    stand_in.resource_string = _resource_string  # type: ignore[attr-defined]
    before = {name: module for name, module in sys.modules.items() if name == _ABSENT}
    sys.modules[_ABSENT] = stand_in
    try:
        from twitter_text import parse_tweet
    finally:
        del sys.modules[_ABSENT]
        sys.modules.update(before)
    return parse_tweet


parse_tweet = _parser()
"""``parse_tweet(text)``: its ``weightedLength``, and whether X takes it."""
