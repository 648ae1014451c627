"""The check of a definition from a file or the API: each problem with its place in the data."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pressroom.adapters.conditions import evaluate as expressions
from pressroom.adapters.targets.registry import HANDLERS, limits_of, refused_settings
from pressroom.definitions.bounds import too_large
from pressroom.domain.definitions import Account, BrandContext, Definition, Site
from pressroom.domain.errors import DefinitionError
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import Workflow
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.text import did_you_mean
from pressroom.pipelines import prompts
from pressroom.pipelines.flow import checking as flow_checking

D = TypeVar("D", bound=Definition)
Path = tuple[int | str, ...]

LONGEST_TEXT = 1000
"""Characters of a problem's text, which may quote what is wrong."""

_UNIONS = (typing.Union, types.UnionType)


@dataclass(frozen=True)
class DefinitionProblem:
    """``path``: the keys and positions that lead to the place; the last key may be missing there.

    ``line``: within the template at that place, from 1; None when it is not a template or the line is
    unknown.
    """

    path: Path
    text: str
    line: int | None = None

    @property
    def message(self) -> str:
        """The text with the template's line, for a reader who does not see the file."""
        return self.text if self.line is None else f"line {self.line} of the template: {self.text}"


class WrongDefinition(DefinitionError):
    """A definition that cannot be used. ``wrong``: why."""

    def __init__(self, definition: BrandContext | Workflow, wrong: Sequence[DefinitionProblem]) -> None:
        super().__init__(
            [f"{definition.kind} {definition.slug}: {shown(each.path)}{each.message}" for each in wrong]
        )
        self.wrong = list(wrong)


def check(
    model: type[D], data: Mapping[str, Any], *, most: int | None = None, templates: bool = True
) -> tuple[D | None, list[DefinitionProblem]]:
    """The definition and no problems, or None and its problems: at most ``most``, None for all.

    ``templates``: whether to check templates, which runs them.
    """
    large = [DefinitionProblem(place, reason) for place, reason in too_large(data)]
    if large:
        # The rest is checked as ever; nothing reads what is too large.
        keys = {each.path[0] if each.path else "" for each in large}
        rest = {key: value for key, value in data.items() if key not in keys}
        others = [] if "" in keys else check(model, rest, most=most, templates=False)[1]
        return None, [*large, *(each for each in others if each.path[:1] not in {(key,) for key in keys})][
            :most
        ]
    try:
        definition = model.model_validate(data)
    except ValidationError as error:
        return None, [
            DefinitionProblem(_place(data, detail["loc"]), _short(_explain(model, detail)))
            for detail in error.errors(include_url=False)[:most]
        ]
    wrong = [*_targets(definition)]
    if templates:
        wrong = [*_prompts(definition), *wrong, *_steps(definition)]
    wrong = [replace(each, text=_short(each.text)) for each in wrong]
    return (None, wrong[:most]) if wrong else (definition, [])


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else shorten(text, LONGEST_TEXT)


def shown(path: Sequence[int | str]) -> str:
    """A path before a message: ``steps[0].to: ``."""
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path]
    return f"{''.join(parts).lstrip('.')}: " if parts else ""


def real_path(data: Any, path: Sequence[int | str]) -> list[int | str]:
    """The part of a path that the data has: without pydantic's own steps, such as a union's branch."""
    real: list[int | str] = []
    for step in path:
        in_dict = isinstance(data, dict) and step in data
        if in_dict or (isinstance(data, list) and isinstance(step, int) and step < len(data)):
            data = data[step]
            real.append(step)
    return real


def _place(data: Any, path: Sequence[int | str]) -> Path:
    """Pydantic's path as the data would have it."""
    return tuple(step for step in [*real_path(data, path[:-1]), *path[-1:]] if step != "[key]")


def _prompts(definition: Definition) -> Iterator[DefinitionProblem]:
    """Prompt overrides that do not work: they would otherwise fail in the middle of a run."""
    if isinstance(definition, Account | Workflow):
        for problem in prompts.problems(definition.prompts):
            yield DefinitionProblem(("prompts", problem.name, problem.part), problem.what, problem.line)


def _targets(definition: Definition) -> Iterator[DefinitionProblem]:
    """A site's targets that cannot work: they would otherwise fail when the first article is approved."""
    if not isinstance(definition, Site):
        return
    seen: set[str] = set()
    for index, target in enumerate(definition.publish.targets):
        path: Path = ("publish", "targets", index)
        if target.to not in HANDLERS:
            text = f"there is no handler {target.to!r}{did_you_mean(target.to, HANDLERS)}"
            yield DefinitionProblem((*path, "to"), text)
            continue
        for name, text in refused_settings(target.to, target.settings):
            yield DefinitionProblem((*path, "settings", name), text)
        if target.target_name in seen:
            yield DefinitionProblem(
                path, f"{target.target_name} is a target already: give this one a connection of its own"
            )
        seen.add(target.target_name)


def _steps(definition: Definition) -> Iterator[DefinitionProblem]:
    """A flow's problems beyond its model, such as a step that nothing calls."""
    if isinstance(definition, Flow):
        for problem in flow_checking.problems(
            definition, HANDLERS, limits_of, expressions.compile, refused_settings
        ):
            yield DefinitionProblem(tuple(problem.path), problem.what)


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    match detail["type"]:
        case "extra_forbidden":
            owner = _model_at(model, detail["loc"][:-1])
            return f"unknown key{did_you_mean(detail['loc'][-1], owner.model_fields if owner else ())}"
        case "missing":
            return "is missing"
        case "union_tag_invalid":
            context = detail["ctx"]
            tags = str(context["expected_tags"]).replace("'", "").split(", ")
            key = str(context["discriminator"]).strip("'")
            return f"{key}: {context['tag']!r} is not possible{did_you_mean(context['tag'], tags)}"
        case "union_tag_not_found":
            return f"{str(detail['ctx']['discriminator']).strip(chr(39))}: is missing"
        case "literal_error" | "enum":
            valid = [
                part.strip("' ") for part in str(detail["ctx"]["expected"]).replace(" or ", ",").split(",")
            ]
            return (
                f"{detail['input']!r} is not possible{did_you_mean(detail['input'], [v for v in valid if v])}"
            )
        case "string_type" if isinstance(detail["input"], (bool, int, float)):
            return f"must be text: put {str(detail['input']).lower()} in quotes"
        case "string_pattern_mismatch" if detail["loc"][-1:] and "a-z0-9" in str(detail["ctx"]["pattern"]):
            return f"{detail['input']!r} must be lower-case letters, digits and single hyphens"
        case "value_error":
            return str(detail["ctx"]["error"])
        case _:
            instead = "" if isinstance(detail["input"], (dict, list)) else f", not {detail['input']!r}"
            return detail["msg"].replace("Input should be", "must be") + instead


def _model_at(model: type[BaseModel], path: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that a path of keys leads to."""
    here: Any = model
    for step in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(step))
            here = _bare(field.annotation) if field else None
        elif typing.get_origin(here) in _UNIONS:
            here = next((each for each in typing.get_args(here) if _tag(each) == step), None)
        else:
            # For a list or a dict: the type of its entries.
            arguments = typing.get_args(here)
            here = _bare(arguments[-1]) if arguments else None
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _tag(model: Any) -> str | None:
    """What ``type:`` says in a definition of this model."""
    field = getattr(model, "model_fields", {}).get("type")
    return next(iter(typing.get_args(field.annotation)), None) if field else None


def _bare(annotation: Any) -> Any:
    """X of ``X | None`` and of ``Annotated[X, …]``; a union of several stays one."""
    origin = typing.get_origin(annotation)
    if origin in _UNIONS:
        members = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
        return _bare(members[0]) if len(members) == 1 else annotation
    if origin is typing.Annotated:
        return _bare(typing.get_args(annotation)[0])
    return annotation
