"""YAML files → definitions. Everything that is wrong, in all files, is reported at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pressroom.definitions import checking, nodes
from pressroom.domain.definitions import BrandContext
from pressroom.domain.errors import DefinitionError
from pressroom.domain.grants.named import Named, names_of
from pressroom.domain.kinds import KINDS, AnyDefinition, Workflow
from pressroom.domain.text import did_you_mean


@dataclass(frozen=True)
class Located:
    """A definition and where it stands. ``lines``: top-level key → line, from 1.

    ``named``: (line, name) of everything of the installation's that a workflow names.
    """

    definition: AnyDefinition
    file: str
    line: int
    lines: Mapping[str, int]
    named: Sequence[tuple[int, Named]] = ()

    def problem(self, key: str, text: str) -> str:
        """A located message about one of its keys."""
        line = self.lines.get(key.partition(".")[0], self.line)
        return f"{self.file}:{line}: {label(self.definition)}: {key}: {text}"

    def problem_at(self, path: Sequence[str | int], text: str) -> str:
        """A located message about a place that names something of the installation's."""
        key = str(path[0])
        line = next((line for line, each in self.named if each.path == path), self.lines.get(key, self.line))
        return f"{self.file}:{line}: {label(self.definition)}: {checking.shown(path)}{text}"


def label(definition: AnyDefinition) -> str:
    """How messages name a definition."""
    return f"{definition.kind} {definition.slug}"


def load(path: Path) -> list[Located]:
    """Every definition of a file, or of a directory's ``*.yaml`` and ``*.yml``, recursive and sorted.

    Hidden files and folders are passed over. Raises DefinitionError with one problem a line.
    """
    problems: list[str] = []
    definitions: list[Located] = []
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
        definitions += located
        problems += wrong
    problems += _twice(definitions)
    if problems:
        raise DefinitionError(problems)
    return definitions


def read_text(text: str, file: str) -> tuple[list[Located], list[str]]:
    """One file's definitions, and its problems."""
    definitions: list[Located] = []
    problems: list[str] = []
    try:
        for node in nodes.documents(text):
            try:
                definitions.append(_definition(node, file))
            except nodes.NodeError as problem:
                problems.append(f"{file}:{problem.line}: {problem.text}")
            except DefinitionError as error:
                problems += error.problems
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.append(f"{file}:{mark.line + 1 if mark else 1}: not YAML: {error.problem}")
    except RecursionError:
        problems.append(f"{file}: nested too deeply")
    except yaml.YAMLError as error:
        problems.append(f"{file}: not YAML: {str(error).splitlines()[0]}")
    return definitions, problems


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
    if not isinstance(kind, str) or kind not in KINDS:
        where = nodes.line(nodes.find(node, ["kind"]))
        raise nodes.NodeError(where, f"kind: {kind!r} is not known{did_you_mean(kind, KINDS)}")
    name = f"{kind} {data.get('slug', '?')}"
    definition, wrong = checking.check(KINDS[kind].model, data)
    if definition is None:
        raise DefinitionError([f"{file}:{_located(node, data, name, each)}" for each in wrong])
    lines = {key.value: nodes.line(key) for key, _ in node.value}
    named: Sequence[tuple[int, Named]] = ()
    if isinstance(definition, Workflow):
        named = [(_line_of(node, data, each), each) for each in names_of(definition)]
    return Located(definition, file, nodes.line(node), lines, named)


def _line_of(node: yaml.Node, data: Any, named: Named) -> int:
    """Where it is named, or the nearest place above it that is written down: a default has no line."""
    return nodes.line(nodes.find(node, checking.real_path(data, named.path)))


def _located(node: yaml.Node, data: Any, name: str, wrong: checking.DefinitionProblem) -> str:
    """The line, and the problem for a reader of the file."""
    line, text = None, wrong.message
    if wrong.line is not None:
        line = nodes.line_of_text(node, [str(step) for step in wrong.path], wrong.line)
        text = wrong.text if line else wrong.message
    line = line or nodes.line(nodes.find(node, checking.real_path(data, wrong.path)))
    return f"{line}: {name}: {checking.shown(wrong.path)}{text}"


def _twice(definitions: Sequence[Located]) -> list[str]:
    seen: dict[tuple[str, ...], Located] = {}
    problems = []
    for located in definitions:
        definition = located.definition
        # A workflow's slug names its DAG, so unique over all accounts; a brand context's in its own.
        scope = (definition.account,) if isinstance(definition, BrandContext) else ()
        first = seen.setdefault((definition.kind, *scope, definition.slug), located)
        if first is not located:
            problems.append(located.problem("slug", f"defined already in {first.file}:{first.line}"))
    return problems
