"""A settings form: definition → texts, texts → a patch of what was changed, problems → their fields."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from pressroom.api.kit.problems import Problem
from pressroom.domain.text import to_json
from pressroom.page.kit.tokens import PostedForm
from pressroom.page.settings.fields import FieldGroup, FormField

WAS = "was:"
"""In front of a field's name: the text that it had when the form was made."""
ON = "true"
TARGET_KEYS = ("to", "connection", "settings")


@dataclass
class SettingsForm:
    """The state of a form. ``texts``: path → what is in the field; ``was``: what is stored; ``problems`` and
    ``notes``: what stands beside a field; ``general``: what concerns no field.
    """

    groups: Sequence[FieldGroup]
    version: str
    texts: dict[str, str]
    was: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    general: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, groups: Sequence[FieldGroup], data: Mapping[str, Any], version: str) -> SettingsForm:
        """The form of a stored definition."""
        texts = {each.path: text_of(each, _at(data, each.keys)) for each in fields_of(groups)}
        return cls(groups, version, texts, dict(texts))

    @classmethod
    def sent(cls, groups: Sequence[FieldGroup], form: PostedForm) -> SettingsForm:
        """The form as somebody sent it."""
        fields = fields_of(groups)
        return cls(
            groups, form.text("version")[:100],
            {each.path: _sent(each, form) for each in fields},
            {each.path: _plain(form.text(f"{WAS}{each.path}")) for each in fields},
        )  # fmt: skip

    @property
    def changed(self) -> list[FormField]:
        """The fields that somebody has changed."""
        return [each for each in fields_of(self.groups) if self.texts[each.path] != self.was[each.path]]

    def patch(self) -> dict[str, Any]:
        """A merge patch of what was changed. A text that is no value at all is a problem of its field."""
        patch: dict[str, Any] = {}
        for each in self.changed:
            try:
                value = value_of(each, self.texts[each.path])
            except ValueError as error:
                self.problems[each.path] = str(error)
                continue
            part = patch
            for key in each.keys[:-1]:
                part = part.setdefault(key, {})
            part[each.keys[-1]] = value
        return patch

    def blame(self, problem: Problem) -> None:
        """Put what is wrong beside the fields that it concerns."""
        if not problem.errors:
            self.general.append(problem.detail)
        for error in problem.errors:
            path = error.field.removeprefix("body").removeprefix(".")
            owner = self._owner(path)
            if owner is None:
                self.general.append(f"{path}: {error.detail}" if path else error.detail)
                continue
            within = path.removeprefix(owner).removeprefix(".")
            detail = f"{_place(within)}{error.detail}" if within else error.detail
            both = [self.problems[owner], detail] if owner in self.problems else [detail]
            self.problems[owner] = "; ".join(both)

    def onto(self, now: SettingsForm) -> SettingsForm:
        """These changes on top of what others have saved meanwhile."""
        mine = {each.path for each in self.changed}
        theirs = {path for path, text in now.was.items() if text != self.was[path]}
        merged = SettingsForm(self.groups, now.version, dict(now.texts), dict(now.was))
        for path in mine:
            merged.texts[path] = self.texts[path]
        for path in theirs:
            shown = now.was[path] or "empty"
            kept = "; yours is in the field" if path in mine else ""
            merged.notes[path] = f"changed meanwhile: it is {shown[:200]} now{kept}"
        return merged

    def targets(self, path: str) -> list[dict[str, str]]:
        """The rows of a list of targets, with an empty one at the end."""
        try:
            rows = json.loads(self.texts[path] or "[]")
        except ValueError:
            rows = []
        shown = [{key: _row_text(row.get(key)) for key in TARGET_KEYS} for row in rows]
        return [*shown, dict.fromkeys(TARGET_KEYS, "")]

    def _owner(self, path: str) -> str | None:
        known = [each.path for each in fields_of(self.groups)]
        fitting = [each for each in known if path == each or path.startswith(f"{each}.")]
        return max(fitting, key=len, default=None)


def fields_of(groups: Sequence[FieldGroup]) -> list[FormField]:
    """All fields of a form, in order."""
    return [each for group in groups for each in group.fields]


def text_of(field: FormField, value: Any) -> str:
    """A value as the field shows it."""
    if value is None:
        return ""
    match field.control:
        case "check":
            return ON if value else ""
        case "lines" | "several":
            return "\n".join(_line(each) for each in value)
        case "targets":
            rows = [{key: row.get(key) for key in TARGET_KEYS if row.get(key)} for row in value]
            return to_json(rows) if rows else ""
        case "time":
            return str(value)[:5]
        case "number":
            return _number(value)
    return _plain(str(value))


def value_of(field: FormField, text: str) -> Any:
    """The value of a text, for a merge patch: None means the default. Raises ValueError."""
    match field.control:
        case "check":
            return text == ON
        case "lines" | "several":
            return text.split("\n") if text else []
        case "targets":
            return [_target(row) for row in json.loads(text or "[]")]
    return text or None


def _target(row: Mapping[str, Any]) -> dict[str, Any]:
    target = {key: value for key, value in row.items() if value}
    settings = target.get("settings")
    if isinstance(settings, str):
        try:
            target["settings"] = json.loads(settings)
        except ValueError:
            named = row.get("to") or "a target"
            raise ValueError(
                f'the settings of {named} are no JSON: write them as in {{"categories": ["News"]}}'
            ) from None
    return target


def _sent(field: FormField, form: PostedForm) -> str:
    match field.control:
        case "check":
            return ON if form.text(field.path) == ON else ""
        case "several":
            return "\n".join(each.strip() for each in form.all(field.path))
        case "lines":
            lines = (line.strip() for line in form.text(field.path).splitlines())
            return "\n".join(line for line in lines if line)
        case "targets":
            return _sent_targets(field, form)
        case "number":
            return _number(form.text(field.path))
    return _plain(form.text(field.path))


def _sent_targets(field: FormField, form: PostedForm) -> str:
    columns = [form.all(f"{field.path}.{key}") for key in TARGET_KEYS]
    rows = []
    for values in zip_longest(*columns, fillvalue=""):
        row: dict[str, Any] = {
            key: text.strip() for key, text in zip(TARGET_KEYS, values, strict=True) if text.strip()
        }
        with suppress(KeyError, ValueError):  # none, or a text that is no JSON: ``value_of`` says so
            row["settings"] = json.loads(row["settings"])
        if row.get("to") or row.get("connection") or row.get("settings"):
            rows.append({key: value for key, value in row.items() if value})
    return to_json(rows) if rows else ""


def _row_text(value: Any) -> str:
    return value if isinstance(value, str) else "" if not value else to_json(value)


def _at(data: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _line(value: Any) -> str:
    text = str(value)
    return text[:5] if len(text) == 8 and text[2] == text[5] == ":" else text


def _number(value: Any) -> str:
    """Without zeros that say nothing, so that 500 and 500.0000 are the same text."""
    text = str(value).strip()
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text.lower() else text


def _plain(text: str) -> str:
    """With the line ends that a definition has: forms are sent with others."""
    return text.replace("\r\n", "\n").strip()


def _place(path: str) -> str:
    """Where in a list something is, for people: ``0.to`` → ``no. 1, to: ``."""
    head, _, rest = path.partition(".")
    place = f"no. {int(head) + 1}" if head.isdigit() else head
    return f"{place}, {rest}: " if rest else f"{place}: "
