"""Every field of every definition, out of the pydantic models, with values that nobody wants there."""

from __future__ import annotations

import copy
import itertools
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from pressroom.domain.flows import Flow
from pressroom.domain.kinds import KINDS

Path = tuple[str | int, ...]

DRAFT: dict[str, dict[str, Any]] = {
    "Account": {"slug": "acme", "name": "Acme"},
    "BrandContext": {"account": "acme", "slug": "main", "name": "Main"},
    "Site": {"account": "acme", "slug": "garden", "name": "Garden", "automation": {"enabled": True}},
    "Mission": {
        "account": "acme", "slug": "spring", "name": "Spring", "status": "active", "objectives": ["be known"],
        "platforms": ["twitter"], "starts_at": "2027-01-04T09:00:00Z",
    },
    "Flow": {"account": "acme", "slug": "news", "name": "News"},
}  # fmt: skip
STEPS: dict[str, dict[str, Any]] = {
    "fetch": {"source": {"type": "rss", "url": "https://example.com/feed"}},
    "ai": {"prompt": "Retell {{ item.title }}", "tools": []},
    "publish": {"to": "static_site", "mode": "auto"},
    "ping": {"connection": "pressroom_desk"},
    "gate": {"by": "webhook"},
    "route": {"rules": [{"when": "true", "to": "next"}]},
    "media": {"prompt": "a picture"},
}
SOURCES: dict[str, dict[str, Any]] = {
    "rss": {"url": "https://example.com/feed"},
    "wordpress": {"url": "https://example.com"},
    "web": {"url": "https://example.com"},
    "json": {"url": "https://example.com/a.json"},
    "files": {"path": "s3://bucket/drafts"},
}
ENTRIES: dict[str | int, dict[str, Any]] = {
    "targets": {"to": "static_site"},
    "kpis": {"metric": "impressions", "target": 5},
    "sources": {"title": "a source"},
    "rules": {"when": "true", "to": "next"},
    "notices": {
        "name": "team",
        "by": "webhook",
        "connection": "hook",
        "quiet": {"begin": "20:00", "end": "07:00"},
    },
}
"""What an entry of these lists cannot do without."""

HUGE: dict[str, Any] = {
    "a megabyte": "x" * 1_000_000,
    "a megabyte of cron": "0,1," * 250_000 + "0 0 * * *",
    "a text at the bound": "a b" * 6_600,
    "many entries": ["x"] * 60_000,
    "many keys": {f"k{number}": "x" for number in range(60_000)},
    "a long key": {"k" * 100_000: "x"},
    "a large number": 10**40,
    "a large fraction": 1e308,
}
ODD: dict[str, Any] = {
    "nothing": "", "a space": " ", "a line": "a\nb", "null": None, "no": False, "zero": 0, "minus": -1,
    "a half": 0.5, "no entries": [], "no keys": {}, "letters": "Ünïcödé 🦄", "right to left": "\u202eabc",
    "a word": "word", "year 1": "0001-01-01T00:00:00Z", "year 9999": "9999-12-31T23:59:59+00:00",
    "years ago": "1969-12-31T23:59:59-11:00",
}  # fmt: skip
HOSTILE: dict[str, Any] = {
    "never": "0 0 31 2 *",
    "described at length": "0 " + "0," * 94 + "0 * * *",
    "hours twice": "*/5," * 48 + "0 * * * *",
    "an asset that fails": "postgres://x",
    "a reserved asset": "airflow://x",
    "half an address": "http://[/",
    "a path": "../../../etc/passwd",
    "a template": "{{ ''.__class__ }}",
    "a script": "<script>alert(1)</script>",
    "a statement": "'; drop table sites; --",
    "a half character": "\ud800",
    "no character": "a\x00b",
    "deep": [[[[[[[["x"]]]]]]]],
}


@dataclass(frozen=True)
class WalkCase:
    """A definition with one odd value. ``name``: kind, place and value."""

    kind: str
    path: Path
    label: str
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.kind} {'.'.join(map(str, self.path))} {self.label}"


def cases() -> Iterator[WalkCase]:
    """All of them, in a fixed order."""
    values = HUGE | ODD | HOSTILE
    for kind, draft, path in places():
        for label, value in values.items():
            yield WalkCase(kind, path, label, _with(draft, path, value))


def places() -> Iterator[tuple[str, dict[str, Any], Path]]:
    """(kind, a valid definition, the place of a field in it)."""
    for kind, entry in KINDS.items():
        if entry.model is not Flow:
            for path in _fields(entry.model):
                yield kind, DRAFT[kind], path
    for number, draft in enumerate(_flows()):
        step = draft["steps"][0]
        for path in _fields(Flow):
            of_step = path[:2] == ("steps", 0)
            if (number == 0 and not of_step) or (of_step and _is_of(step, path)):
                yield "Flow", draft, path


def _flows() -> Iterator[dict[str, Any]]:
    page = {"name": "page", "type": "publish", **STEPS["publish"]}
    for kind, settings in STEPS.items():
        steps = [{"name": "first", "type": kind, **settings}, page]
        for source in SOURCES if kind == "fetch" else [""]:
            if source:
                steps[0]["source"] = {"type": source, **SOURCES[source]}
            yield copy.deepcopy({**DRAFT["Flow"], "steps": steps})


def _is_of(step: Mapping[str, Any], path: Path) -> bool:
    """Whether a place below steps.0 is in the model of that step, and of its source."""
    own = {**dict.fromkeys(_model_of("type", step["type"], _STEPS).model_fields)}
    if len(path) < 3 or path[2] not in own:
        return False
    if path[2] != "source" or len(path) < 4:
        return True
    return path[3] in _model_of("type", step["source"]["type"], _SOURCES).model_fields


def _model_of(key: str, value: str, models: list[type[BaseModel]]) -> type[BaseModel]:
    return next(model for model in models if value in typing.get_args(model.model_fields[key].annotation))


def _fields(annotation: Any, path: Path = ()) -> list[Path]:
    """The places below a type, each once."""
    seen: dict[Path, None] = {}
    for model in _models(annotation):
        for name, field in model.model_fields.items():
            seen[*path, name] = None
            seen |= dict.fromkeys(_below(field.annotation, (*path, name)))
    return list(seen)


def _below(annotation: Any, path: Path) -> list[Path]:
    origin = typing.get_origin(annotation)
    if origin is list:
        return [(*path, 0), *_fields(typing.get_args(annotation)[0], (*path, 0))]
    if origin is dict:
        return [(*path, "key")]
    if origin in (typing.Union, types.UnionType):
        return [place for part in typing.get_args(annotation) for place in _below(part, path)]
    return _fields(annotation, path)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]


_STEPS = _models(Flow.model_fields["steps"].annotation)
_SOURCES = _models(_model_of("type", "fetch", _STEPS).model_fields["source"].annotation)


def _with(draft: Mapping[str, Any], path: Path, value: Any) -> dict[str, Any]:
    """The definition with a value at a place; what leads there is made up."""
    data = copy.deepcopy(dict(draft))
    here: Any = data
    before: str | int = ""
    for step, following in itertools.pairwise(path):
        if isinstance(here, list):
            if not here:
                here.append(copy.deepcopy(ENTRIES.get(before, {})) if isinstance(following, str) else [])
            here = here[0]
        else:
            empty: Any = [] if isinstance(following, int) else {}
            if not isinstance(here.get(step), type(empty)):
                here[step] = empty
            here = here[step]
        before = step
    if isinstance(here, list):
        here[:] = [value]
    else:
        here[path[-1]] = value
    return data
