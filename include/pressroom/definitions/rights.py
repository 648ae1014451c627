"""Which role may change what of a definition, whatever route or file the change comes by.

``RIGHTS`` classes every field. An editor may change what decides how content is made. An approver may also
change what is published where, and who lets it through; an owner, what may be spent. A field that nobody has
classed needs an owner. The command line is the operator's and asks for no role.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pressroom.domain import definitions as base
from pressroom.domain import fetching, flows, missions
from pressroom.domain.definitions import Definition, Role, dump
from pressroom.domain.errors import PermanentError
from pressroom.domain.flows import (
    GO_TO,
    AiStep,
    AnyStep,
    FetchStep,
    GateStep,
    MediaStep,
    PublishStep,
    RouteStep,
)

DEFAULT: Any = object()


@dataclass(frozen=True)
class GuardedBy:
    """Who guards a field that needs more than an editor. ``loosens``: whether (before, after) does.

    ``new``: what a new definition is compared with; else the field's default.
    """

    role: Role
    why: str
    loosens: Callable[[Any, Any], bool]
    new: Any = DEFAULT


@dataclass(frozen=True)
class RightNeeded:
    """A change that needs a role. ``path``: the keys and positions that lead to the field."""

    path: tuple[str | int, ...]
    role: Role
    why: str


class NotPermitted(PermanentError):
    """The role does not suffice for the changes of a definition. ``needed``: those changes."""

    def __init__(self, role: Role, needed: Sequence[RightNeeded]) -> None:
        fields = ", ".join(".".join(map(str, each.path)) for each in needed)
        highest = max((each.role for each in needed), key=list(Role).index)
        super().__init__(f"changing {fields} needs the role {highest}, and yours is {role}")
        self.needed = list(needed)


def must_suffice(role: Role, old: Definition | None, new: Definition) -> None:
    """Raises NotPermitted when the role must not turn ``old`` into ``new``. ``old`` None: it is new."""
    lacking = [each for each in needed(old, new) if not role.covers(each.role)]
    if lacking:
        raise NotPermitted(role, lacking)


def needed(old: Definition | None, new: Definition) -> Iterator[RightNeeded]:
    """The changes that need more than an editor."""
    return _walk(old, new, ())


def _walk(old: Any, new: Definition, path: tuple[str | int, ...]) -> Iterator[RightNeeded]:
    rules = RIGHTS.get(type(new), {})
    for name, field in type(new).model_fields.items():
        rule, now, here = rules.get(name, UNCLASSED), getattr(new, name), (*path, name)
        if old is not None:
            was = getattr(old, name)
        elif isinstance(rule, GuardedBy) and rule.new is not DEFAULT:
            was = rule.new
        else:
            was = None if field.is_required() else field.get_default(call_default_factory=True)
        if isinstance(rule, GuardedBy) and rule.loosens(was, now):
            yield RightNeeded(here, rule.role, rule.why)
        for key, before, after in _parts(was if old is not None else None, now):
            yield from _walk(before, after, (*here, *key))


def _parts(was: Any, now: Any) -> Iterator[tuple[tuple[int, ...], Any, Definition]]:
    """The definitions in a field, each with its place and the one before: in a list by its name."""
    if isinstance(now, Definition):
        yield (), was if type(was) is type(now) else None, now
    elif isinstance(now, list):
        earlier = {getattr(each, "name", at): each for at, each in enumerate(was or ())}
        for at, each in enumerate(now):
            if isinstance(each, Definition):
                before = earlier.get(getattr(each, "name", at))
                yield (at,), before if type(before) is type(each) else None, each


# How a change loosens -----------------------------------------------------------------------------------


def _changed(was: Any, now: Any) -> bool:
    return bool(was != now)


def _turned_on(was: Any, now: Any) -> bool:
    return bool(now and not was)


def _turned_off(was: Any, now: Any) -> bool:
    return bool(was and not now)


def _raised(was: Any, now: Any) -> bool:
    """Of a cap: None is no cap."""
    return was is not None and (now is None or now > was)


def _shorter(was: Any, now: Any) -> bool:
    return was is not None and now < was


def _fewer(was: Any, now: Any) -> bool:
    return not set(was or ()) <= set(now)


def _more(was: Any, now: Any) -> bool:
    return was is not None and not set(now) <= set(was)


def _left(was: Any, now: Any) -> bool:
    return was is not None and was != now


def _to_approve(was: Any, now: Any) -> bool:
    return bool(now == "approve" and was != now)


def _less_guarded(was: Sequence[AnyStep] | None, now: Sequence[AnyStep]) -> bool:
    """Whether something is published past a gate that held it, or is made behind its last gate."""
    before = {step.name for step in was or () if isinstance(step, PublishStep)}
    for step in now:
        if not isinstance(step, PublishStep):
            continue
        gates = guards(now, step.name)
        if step.name not in before:
            if not gates:
                return True
            continue
        if not guards(was or (), step.name) <= gates:
            return True
        if gates and _made_behind(was or (), step.name) != _made_behind(now, step.name):
            return True
    return False


def guards(steps: Sequence[AnyStep], publish: str) -> frozenset[str]:
    """The gates that no item gets around on its way to a publish step."""
    gates = [step.name for step in steps if isinstance(step, GateStep)]
    return frozenset(gate for gate in gates if publish not in _reached(steps, gate))


def _made_behind(steps: Sequence[AnyStep], publish: str) -> list[dict[str, Any]]:
    """What makes content between the last gate that holds a publish step and that step."""
    gates = guards(steps, publish)
    made: list[dict[str, Any]] = []
    for step in steps:
        if step.name == publish:
            break
        if step.name in gates:
            made = []
        elif isinstance(step, AiStep | FetchStep | MediaStep):
            made.append(dump(step))
    return made


def _reached(steps: Sequence[AnyStep], closed: str) -> set[str]:
    """The steps that an item can come to while nobody opens the gate ``closed``."""
    places = {step.name: place for place, step in enumerate(steps)}
    reached: set[str] = set()
    waiting = [0]
    while waiting:
        place = waiting.pop()
        if place >= len(steps) or steps[place].name in reached:
            continue
        step = steps[place]
        reached.add(step.name)
        waiting += [
            place + 1 if way == "next" else places[way]
            for way in _ways(step, open=step.name != closed)
            if way == "next" or way in places
        ]
    return reached


def _ways(step: AnyStep, *, open: bool) -> Iterator[str]:
    jump = GO_TO.match(step.on_failure)
    if jump:
        yield jump[1]
    if step.on_failure == "continue" or step.when is not None:
        yield "next"
    if isinstance(step, RouteStep):
        yield step.otherwise
        yield from (rule.to for rule in step.rules)
    elif open:
        yield "next"


# The table ----------------------------------------------------------------------------------------------

_EDIT = Role.EDITOR
UNCLASSED = GuardedBy(Role.OWNER, "nobody has said which role may change it", _changed)
CONNECTION = GuardedBy(Role.APPROVER, "another connection is used", _changed)
TARGET = GuardedBy(Role.APPROVER, "it decides what is published where", _changed)
CAP = GuardedBy(Role.OWNER, "more may be spent", _raised)
GATE = GuardedBy(Role.APPROVER, "a gate lets other items through", _changed, new=None)
RULES = GuardedBy(Role.APPROVER, "a rule that holds posts back is taken away", _fewer)
BRAND = GuardedBy(Role.APPROVER, "the rules of another brand hold posts back", _left, new=None)
OWNERS = GuardedBy(Role.OWNER, "it is the account's", _changed)


def _free(*names: str, **guarded: GuardedBy) -> Mapping[str, Role | GuardedBy]:
    return {**dict.fromkeys(names, _EDIT), **guarded}


def _owned(model: type[Definition]) -> Mapping[str, Role | GuardedBy]:
    return dict.fromkeys(model.model_fields, OWNERS)


_WORKFLOW = ("kind", "account", "slug", "name", "fail_on", "language", "status")
_PROMPTS = tuple(base.Prompts.model_fields)
_PACE = ("within_stage_delay", "between_stage_delay", "concurrency")
_STEP = ("name", "type", "when", "on_failure")

RIGHTS: Mapping[type[Definition], Mapping[str, Role | GuardedBy]] = {
    base.Account: _owned(base.Account),
    # Accounts have no route: what they may name comes by the operator's command line and administrators.
    base.Grants: _owned(base.Grants),
    # An editor that a channel is for decides what it tells and when; where it leads is the owners'.
    base.NoticeChannel: _free(
        "about", "workflows", "timezone", "quiet", "digest_minutes",
        **dict.fromkeys(("name", "by", "connection", "to", "member"), OWNERS),
    ),
    base.QuietHours: _free("begin", "end"),
    base.Quotas: _owned(base.Quotas),
    base.Charges: _owned(base.Charges),
    base.AccountCaps: _owned(base.AccountCaps),
    base.Prompts: _free(*_PROMPTS),
    base.PromptOverride: _free("system", "user"),
    base.BrandContext: _free(
        "kind", "account", "slug", "name", "voice", "audience", "topics", "competitors", "colors", "dos",
        "donts", "examples", "visual_style", banned_words=RULES, disclosures=RULES, tone_rubric=RULES,
    ),
    base.BatchSizes: _free(*base.BatchSizes.model_fields),
    base.Pace: _free(*_PACE),
    base.Automation: _free(
        *_PACE, "enabled", "frequency", "time", "timezone", "cron", "batch_sizes", "articles_per_run"
    ),
    base.TextSettings: _free("model", "temperature", connection=CONNECTION),
    base.SiteTextSettings: _free("model", "temperature", "batch", connection=CONNECTION),
    base.ArticleSettings: _free("ideas_per_cluster", "target_words", "words_per_call"),
    base.ImageSettings: _free(
        "model", "per_article", "width", "height", provider=CONNECTION, connection=CONNECTION
    ),
    base.EmbeddingSettings: _free("model", provider=CONNECTION, connection=CONNECTION),
    base.SiteTarget: _free(to=TARGET, connection=TARGET, settings=TARGET),
    base.SitePublish: _free(
        targets=TARGET,
        auto_publish=GuardedBy(Role.APPROVER, "articles are published that nobody has approved", _turned_on),
    ),
    base.SpendingCaps: _free(run_cents=CAP, month_cents=CAP),
    base.Site: _free(
        *_WORKFLOW, "url", "subject", "automation", "text", "embeddings", "article", "images", "caps",
        "publish", "prompts", brand=BRAND,
    ),
    missions.Constraints: _free(
        "tone", "cadence", "posts_per_day", "posting_times", "timezone",
        require_approval=GuardedBy(
            Role.APPROVER, "posts are published that nobody has approved", _turned_off, new=True
        ),
        budget_cents=CAP, excluded_topics=RULES,
    ),
    missions.Kpi: _free("metric", "target", "platform"),
    missions.Source: _free("title", "url", "text"),
    missions.Measuring: _free("poll_minutes", "mature_hours"),
    missions.Learning: _free("enabled", "exploration_share", "minimum_posts"),
    missions.Visuals: _free(
        "model", "per_article", "width", "height", provider=CONNECTION, connection=CONNECTION
    ),
    missions.Mission: _free(
        *_WORKFLOW, "description", "objectives", "constraints", "kpis", "pillars", "sources", "starts_at",
        "ends_at", "duration_days", "cycle_days", "ab_variants", "rollback", "measuring", "learning", "text",
        "images", "work", "batch_size", "caps", "prompts", brand=BRAND, connection=TARGET,
        platforms=GuardedBy(Role.APPROVER, "posts are published on another platform", _more, new=None),
    ),
    flows.FetchStep: _free(*_STEP, "source"),
    flows.AiStep: _free(*_STEP, "prompt", "system", "tools", "output", "max_tokens", "temperature"),
    flows.PublishStep: _free(
        "name", "type", "on_failure", when=TARGET, to=TARGET, connection=TARGET, mode=TARGET, settings=TARGET
    ),
    flows.PingStep: _free(*_STEP, "message", connection=CONNECTION),
    flows.GateStep: _free(
        "name", "type", "subject", when=GATE, by=GuardedBy(Role.APPROVER, GATE.why, _left, new=None),
        on_failure=GuardedBy(Role.APPROVER, GATE.why, _changed),
        timeout_hours=GuardedBy(Role.APPROVER, "there is less time to answer", _shorter, new=None),
        on_timeout=GuardedBy(Role.APPROVER, "items pass that nobody has approved", _to_approve),
        notify=GuardedBy(Role.APPROVER, "another receiver gets the links that decide", _changed),
    ),
    flows.RouteRule: _free("when", "to"),
    flows.RouteStep: _free(*_STEP, "rules", "otherwise"),
    flows.MediaStep: _free(*_STEP, "prompt", "alt"),
    flows.Trigger: _free(
        "cron", "timezone", "asset", webhook=GuardedBy(Role.APPROVER, "others can start it", _changed)
    ),
    flows.Flow: _free(
        *_WORKFLOW, "description", "trigger", "feed", "text", "images", "work", "caps", "prompts",
        brand=BRAND,
        steps=GuardedBy(
            Role.APPROVER, "something is published past a gate, or made behind the last one", _less_guarded
        ),
        allow_hosts=GuardedBy(Role.APPROVER, "private addresses can be read", _more, new=()),
    ),
    fetching.RssFetch: _free("cap", "start", "type", "url"),
    fetching.WordpressFetch: _free("cap", "start", "type", "url", "categories", "tags", "search"),
    fetching.WebFetch: _free("cap", "start", "type", "url", "sitemap", "contains", "changes"),
    fetching.FieldPaths: _free(*fetching.FieldPaths.model_fields),
    fetching.JsonFetch: _free("cap", "start", "type", "url", "items", "fields", "extra"),
    fetching.FilesFetch: _free("cap", "start", "type", "path", "pattern", "changes", connection=CONNECTION),
}  # fmt: skip
"""Field → the role that may change it, or what guards it. The fields of a part are the part's own."""
