"""YAML files → definitions. Everything that is wrong, in all files, is reported at once."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pressroom.adapters import expressions
from pressroom.adapters.targets import HANDLERS
from pressroom.definitions import nodes
from pressroom.domain.definitions import BrandContext, Site
from pressroom.domain.errors import DefinitionError
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import KINDS, AnyDefinition
from pressroom.domain.suggest import did_you_mean
from pressroom.pipelines import prompts
from pressroom.pipelines.flow import checking

_UNIONS = (typing.Union, types.UnionType)


@dataclass(frozen=True)
class Located:
    """A definition and where it stands. ``lines``: top-level key → line, from 1.

    ``connections``: (line, id) of every Airflow connection that a flow needs.
    """

    definition: AnyDefinition
    file: str
    line: int
    lines: Mapping[str, int]
    connections: Sequence[tuple[int, str]] = ()

    def problem(self, key: str, what: str) -> str:
        """A located message about one of its keys."""
        return f"{self.file}:{self.lines.get(key, self.line)}: {label(self.definition)}: {key}: {what}"


def label(definition: AnyDefinition) -> str:
    """How messages name a definition."""
    return f"{definition.kind} {definition.slug}"


def load(path: Path) -> list[Located]:
    """Every definition of a file, or of a directory's ``*.yaml`` and ``*.yml``, recursive and sorted.

    Hidden files and folders are passed over. Raises DefinitionError with one problem a line.
    """
    problems: list[str] = []
    found: list[Located] = []
    for file in _files(path):
        try:
            text = file.read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            problems.append(f"{file}: not UTF-8 text (byte {error.start})")
            continue
        except OSError as error:
            problems.append(f"{file}: cannot be read: {error.strerror}")
            continue
        located, wrong = read_text(text, str(file))
        found += located
        problems += wrong
    problems += _twice(found)
    if problems:
        raise DefinitionError(problems)
    return found


def read_text(text: str, file: str) -> tuple[list[Located], list[str]]:
    """One file's definitions, and its problems."""
    found: list[Located] = []
    problems: list[str] = []
    try:
        for node in nodes.documents(text):
            try:
                found.append(_definition(node, file))
            except nodes.NodeError as problem:
                problems.append(f"{file}:{problem.line}: {problem.what}")
            except DefinitionError as error:
                problems += error.problems
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.append(f"{file}:{mark.line + 1 if mark else 1}: not YAML: {error.problem}")
    except RecursionError:
        problems.append(f"{file}: nested too deeply")
    except yaml.YAMLError as error:
        problems.append(f"{file}: not YAML: {str(error).splitlines()[0]}")
    return found, problems


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DefinitionError([f"{path}: no such file or directory"])
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix in (".yaml", ".yml")
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if not files:
        raise DefinitionError([f"{path}: holds no .yaml file"])
    return files


def _definition(node: yaml.Node, file: str) -> Located:
    data = nodes.value(node)
    if not isinstance(data, dict):
        raise nodes.NodeError(nodes.line(node), "a definition is a mapping that starts with kind:")
    if "kind" not in data:
        raise nodes.NodeError(nodes.line(node), f"kind: is missing. Valid: {', '.join(sorted(KINDS))}")
    kind = data["kind"]
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        where = nodes.line(nodes.find(node, ["kind"]))
        raise nodes.NodeError(where, f"kind: {kind!r} is not known{did_you_mean(kind, KINDS)}")
    name = f"{kind} {data.get('slug', '?')}"
    try:
        definition = model.model_validate(data)
    except ValidationError as error:
        raise DefinitionError(
            [
                f"{file}:{nodes.line(nodes.find(node, _real_path(data, detail['loc'])))}: {name}: "
                f"{_key(_shown(data, detail['loc']))}{_explain(model, detail)}"
                for detail in error.errors(include_url=False)
            ]
        ) from None
    _check_prompts(node, definition, file, name)
    if isinstance(definition, Site):
        _check_site(node, definition, file, name)
    if isinstance(definition, Flow):
        _check_flow(node, definition, file, name)
    lines = {key.value: nodes.line(key) for key, _ in node.value}
    needed: Sequence[tuple[int, str]] = ()
    if isinstance(definition, Flow):
        needed = [
            (nodes.line(nodes.find(node, list(path))), name)
            for path, name in checking.connections(definition)
        ]
    return Located(definition, file, nodes.line(node), lines, needed)


def _key(path: Sequence[int | str]) -> str:
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path if step != "[key]"]
    return f"{''.join(parts).lstrip('.')}: " if parts else ""


def _real_path(data: Any, path: Sequence[int | str]) -> list[int | str]:
    """The part of pydantic's path that the file has: without its own steps, such as a union's branch."""
    real: list[int | str] = []
    for step in path:
        in_dict = isinstance(data, dict) and step in data
        if in_dict or (isinstance(data, list) and isinstance(step, int) and step < len(data)):
            data = data[step]
            real.append(step)
    return real


def _shown(data: Any, path: Sequence[int | str]) -> list[int | str]:
    """Pydantic's path as the file would have it; its last step may be what the file lacks."""
    return [*_real_path(data, path[:-1]), *path[-1:]]


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
            given = "" if isinstance(detail["input"], (dict, list)) else f", not {detail['input']!r}"
            return detail["msg"].replace("Input should be", "must be") + given


def _model_at(model: type[BaseModel], path: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that a path of keys leads to."""
    here: Any = model
    for step in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(step))
            here = _bare(field.annotation) if field else None
        elif typing.get_origin(here) in _UNIONS:
            here = next((one for one in typing.get_args(here) if _tag(one) == step), None)
        else:
            # Of a list or a dict: what its entries are.
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
        found = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
        return _bare(found[0]) if len(found) == 1 else annotation
    if origin is typing.Annotated:
        return _bare(typing.get_args(annotation)[0])
    return annotation


def _check_prompts(node: yaml.Node, definition: AnyDefinition, file: str, name: str) -> None:
    """Refuse an override that does not work: it would otherwise come up in the middle of a run."""
    if isinstance(definition, BrandContext):
        return
    wrong = []
    for problem in prompts.problems(definition.prompts):
        path = ["prompts", problem.name, problem.part]
        what, at = problem.what, None
        if problem.line is not None:
            at = nodes.line_of_text(node, path, problem.line)
            what = what if at else f"line {problem.line} of the template: {what}"
        wrong.append(f"{file}:{at or nodes.line(nodes.find(node, path))}: {name}: {'.'.join(path)}: {what}")
    if wrong:
        raise DefinitionError(wrong)


def _check_flow(node: yaml.Node, flow: Flow, file: str, name: str) -> None:
    """Refuse a flow that cannot work: it would otherwise come up in the middle of a run."""
    wrong = [
        f"{file}:{nodes.line(nodes.find(node, list(problem.path)))}: {name}: "
        f"{_key(problem.path)}{problem.what}"
        for problem in checking.problems(flow, HANDLERS, expressions.compile)
    ]
    if wrong:
        raise DefinitionError(wrong)


def _check_site(node: yaml.Node, site: Site, file: str, name: str) -> None:
    """Refuse targets that cannot work: that would otherwise come up when the first article is approved."""
    wrong: list[tuple[list[int | str], str]] = []
    seen: set[str] = set()
    for index, target in enumerate(site.publish.targets):
        path: list[int | str] = ["publish", "targets", index]
        if target.to not in HANDLERS:
            what = f"there is no handler {target.to!r}{did_you_mean(target.to, HANDLERS)}"
            wrong.append(([*path, "to"], what))
        elif target.name in seen:
            wrong.append((path, f"{target.name} is a target already: give this one a connection of its own"))
        seen.add(target.name)
    if wrong:
        raise DefinitionError(
            [
                f"{file}:{nodes.line(nodes.find(node, path))}: {name}: {_key(path)}{what}"
                for path, what in wrong
            ]
        )


def _twice(found: Sequence[Located]) -> list[str]:
    seen: dict[tuple[str, ...], Located] = {}
    problems = []
    for located in found:
        definition = located.definition
        # A workflow's slug names its DAG, so unique over all accounts; a brand context's in its own.
        scope = (definition.account,) if isinstance(definition, BrandContext) else ()
        first = seen.setdefault((definition.kind, *scope, definition.slug), located)
        if first is not located:
            problems.append(located.problem("slug", f"defined already in {first.file}:{first.line}"))
    return problems
