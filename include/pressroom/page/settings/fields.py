"""What the settings forms ask for: each field with its place in the definition, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pressroom.adapters.targets.registry import HANDLERS
from pressroom.definitions.rights import RIGHTS, GuardedBy
from pressroom.domain.definitions import Definition
from pressroom.domain.social import Platform

Choice = tuple[str, str]
Control = Literal["text", "area", "number", "time", "check", "choice", "lines", "several", "brand", "targets"]


@dataclass(frozen=True)
class FormField:
    """A field. ``path``: dotted, as in the definition; ``choices``: (value, words); ``unit``: of a number."""

    path: str
    label: str
    control: Control = "text"
    help: str = ""
    choices: Sequence[Choice] = ()
    unit: str = ""

    @property
    def id(self) -> str:
        """Its id in the page."""
        return self.path.replace(".", "-")

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that lead to it."""
        return tuple(self.path.split("."))


@dataclass(frozen=True)
class FieldGroup:
    """Fields that belong together."""

    title: str
    fields: Sequence[FormField]
    help: str = ""


@dataclass(frozen=True)
class FieldFacts:
    """What the definition says of a field. ``guard``: what a change may need more than an editor for."""

    least: float | None
    most: float | None
    longest: int | None
    default: Any
    guard: GuardedBy | None


def facts_of(model: type[Definition], field: FormField) -> FieldFacts:
    """What is known of a field."""
    info, guard = None, None
    for owner, name in _walked(model, field.keys):
        info = owner.model_fields[name]
        rule = RIGHTS.get(owner, {}).get(name)
        guard = rule if isinstance(rule, GuardedBy) else guard
    assert info is not None  # noqa: S101  # a field names a place in the model
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    return FieldFacts(
        _bound(info, "ge"), _bound(info, "le"), _longest(info), default, guard,
    )  # fmt: skip


def _walked(model: type[BaseModel], keys: Sequence[str]) -> Iterator[tuple[Any, str]]:
    owner: Any = model
    for key in keys:
        yield owner, key
        annotation = owner.model_fields[key].annotation
        owner = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _metadata(info: FieldInfo) -> Iterator[Any]:
    yield from info.metadata
    for part in get_args(info.annotation):
        yield from getattr(part, "__metadata__", ())


def _bound(info: FieldInfo, name: str) -> float | None:
    found = [getattr(each, name) for each in _flat(_metadata(info)) if getattr(each, name, None) is not None]
    return found[0] if found else None


def _longest(info: FieldInfo) -> int | None:
    if info.annotation is not str:
        return None
    found = [each.max_length for each in _metadata(info) if getattr(each, "max_length", None) is not None]
    return found[0] if found else None


def _flat(metadata: Iterator[Any]) -> Iterator[Any]:
    """With the parts of a Field that stands in an Annotated type."""
    for each in metadata:
        yield each
        yield from getattr(each, "metadata", ())


# The forms ----------------------------------------------------------------------------------------------

_NAME = FormField("name", "Name", help="as people see it; the slug stays")
_LANGUAGE = FormField("language", "Language", help="of the texts, such as en, de or ja")
_BRAND = FormField("brand", "Voice", "brand", "who speaks: every prompt and every picture gets it")
_FAIL_ON = FormField(
    "fail_on", "A run is red in Airflow when it", "choice",
    choices=[("failed", "failed"), ("partial", "failed, or left work undone")],
)  # fmt: skip
_STATUS = FormField(
    "status", "State", "choice", "a disabled one starts no more runs; one that is on goes on to its end",
    choices=[("active", "active"), ("disabled", "disabled")],
)  # fmt: skip
_CAPS = FieldGroup(
    "Spending",
    [
        FormField("caps.run_cents", "Cents of providers in a run", "number", "empty: no cap", unit="¢"),
        FormField("caps.month_cents", "Cents in a month", "number", "empty: no cap", unit="¢"),
        _FAIL_ON,
    ],
    "At a cap, calls are refused before they are made, and the run ends partial.",
)
_MODEL = [
    FormField("text.connection", "Connection of the model", help="an Airflow connection"),
    FormField("text.model", "Model", help="empty: the connection's"),
    FormField("text.temperature", "Temperature", "number", "0 is sober, 2 is wild"),
]
_PROVIDER = FormField(
    "images.provider", "Drawn by", "choice",
    choices=[("card", "cards, on this machine"), ("openai", "OpenAI or compatible"), ("runware", "Runware")],
)  # fmt: skip
_PICTURES = [
    _PROVIDER,
    FormField("images.connection", "Connection", help="an Airflow connection; cards need none"),
    FormField("images.model", "Model", help="empty: the connection's"),
    FormField("images.width", "Width", "number", unit="px"),
    FormField("images.height", "Height", "number", unit="px"),
]
_PACE = [
    FormField("work.within_stage_delay", "Pause between batches", "number", unit="s"),
    FormField("work.between_stage_delay", "Pause between stages", "number", unit="s"),
    FormField("work.concurrency", "Items at once", "number"),
]
_STAGES = [
    ("clusters", "Keywords in one call"), ("ideas", "Clusters in a batch"), ("tasks", "Ideas in a batch"),
    ("content", "Articles in a batch"), ("image_prompts", "Articles for picture prompts"),
    ("images", "Pictures in a batch"),
]  # fmt: skip

SITE = [
    FieldGroup("Schedule", [
        FormField("automation.enabled", "Runs by itself", "check"),
        FormField("automation.frequency", "How often", "choice", choices=[
            ("daily", "every day"), ("weekly", "every Monday"), ("monthly", "on the 1st of the month"),
        ]),
        FormField("automation.time", "At", "time", "in the time zone beside"),
        FormField("automation.timezone", "Time zone", help="such as Europe/Berlin"),
        FormField("automation.cron", "Cron instead", help="five fields, as in 30 6 * * 1-5; wins over those"),
        FormField("automation.articles_per_run", "Articles in a run", "number", "empty: all that wait"),
    ]),
    FieldGroup("Batches and pace", [
        *(FormField(f"automation.batch_sizes.{name}", label, "number") for name, label in _STAGES),
        FormField("automation.within_stage_delay", "Pause between batches", "number", unit="s"),
        FormField("automation.between_stage_delay", "Pause between stages", "number", unit="s"),
        FormField("automation.concurrency", "Items at once", "number"),
    ], "A pause holds no worker."),
    FieldGroup("Site and voice", [
        _NAME, _STATUS,
        FormField("url", "Address"),
        _LANGUAGE,
        FormField("subject", "Subject", help="what the site is about, in a line"),
        _BRAND,
    ]),
    FieldGroup("Writing", [
        *_MODEL,
        FormField("text.batch", "Ask in the provider's batches: half the price, within a day", "check"),
        FormField("article.ideas_per_cluster", "Ideas for a cluster", "number"),
        FormField("article.target_words", "Words of an article", "number"),
        FormField("article.words_per_call", "Words in one call", "number", "longer: written in sections"),
        FormField("embeddings.provider", "Closeness of keywords by", "choice", choices=[
            ("local", "a model of this machine, for English, free"), ("openai", "an embeddings endpoint"),
        ]),
        FormField("embeddings.connection", "Connection of the embeddings"),
        FormField("embeddings.model", "Model of the embeddings", help="empty: the connection's"),
    ]),
    FieldGroup("Pictures", [
        *_PICTURES[:3],
        FormField("images.per_article", "Pictures in an article", "number"),
        *_PICTURES[3:],
    ]),
    _CAPS,
    FieldGroup("Publishing", [
        FormField("publish.auto_publish", "Publish without a person", "check",
                  "articles are approved when they come to review"),
        FormField("publish.targets", "Targets", "targets",
                  "where approved articles go; an empty row is left out"),
    ]),
]  # fmt: skip

MISSION = [
    FieldGroup("Campaign", [
        _NAME,
        FormField("description", "Description", "area"),
        _LANGUAGE, _BRAND,
        FormField("objectives", "Objectives", "lines", "one a line"),
        FormField("platforms", "Platforms", "several", choices=[(name, name) for name in Platform]),
        FormField("pillars", "Pillars", "lines", "one a line; empty: the model proposes them"),
    ]),
    FieldGroup("Posts", [
        FormField("constraints.tone", "Tone"),
        FormField("constraints.cadence", "Cadence", "choice", choices=[
            ("flexible", "flexible"), ("daily", "the same every day"), ("weekdays", "Monday to Friday"),
        ]),
        FormField("constraints.posts_per_day", "Posts a day", "number"),
        FormField("constraints.posting_times", "Times", "lines", "one a line, as 09:30"),
        FormField("constraints.timezone", "Time zone", help="such as Europe/Berlin"),
        FormField("constraints.require_approval", "Posts wait for a person", "check"),
        FormField("constraints.excluded_topics", "Topics left out", "lines", "one a line"),
        FormField("ab_variants", "Write a second version of each post", "check"),
    ]),
    FieldGroup("Time", [
        FormField("starts_at", "Starts at", help="as 2027-03-01T09:00:00+01:00; empty: with a run"),
        FormField("duration_days", "Days in all", "number"),
        FormField("cycle_days", "Days of a cycle", "number"),
        FormField("rollback", "Undo a run whose stage fails", "check"),
        FormField("learning.enabled", "Learn from results", "check"),
        FormField("learning.exploration_share", "Share of slots that try something else", "number"),
        FormField("learning.minimum_posts", "Posts before anything changes", "number"),
    ]),
    FieldGroup("Writing and pictures", [
        *_MODEL, *_PICTURES,
        FormField("connection", "Connection that schedules posts"),
    ]),
    FieldGroup("Pace", [
        FormField("batch_size", "Posts in a batch", "number"), *_PACE,
    ]),
    FieldGroup("Spending", [
        FormField("constraints.budget_cents", "Cents for the mission", "number", "empty: none", unit="¢"),
        *_CAPS.fields,
    ], _CAPS.help),
]  # fmt: skip

FLOW = [
    FieldGroup("Flow", [
        _NAME, _STATUS,
        FormField("description", "Description", "area"),
        _LANGUAGE, _BRAND,
    ], "Its steps are changed as YAML, with pressroom apply, or over the API."),
    FieldGroup("Start", [
        FormField("trigger.cron", "Cron", help="five fields, as in 30 6 * * 1-5; empty: none"),
        FormField("trigger.timezone", "Time zone", help="such as Europe/Berlin"),
        FormField("trigger.asset", "Asset of Airflow", help="its events start a run; not beside a cron"),
        FormField("trigger.webhook", "Connection of the webhook that starts it"),
    ]),
    FieldGroup("Writing and pictures", [*_MODEL, *_PICTURES]),
    FieldGroup("Pace", _PACE),
    _CAPS,
]  # fmt: skip

VOICE = [
    FieldGroup("Voice", [
        _NAME,
        FormField("voice", "How it speaks", "area"),
        FormField("audience", "To whom", "area"),
        FormField("visual_style", "How pictures look", "area"),
        FormField("colors", "Colours", "lines", "one a line, as #1b4d3e; the main one first"),
    ]),
    FieldGroup("Rules", [
        FormField("dos", "Do", "lines", "one a line"),
        FormField("donts", "Don't", "lines", "one a line"),
        FormField("banned_words", "Banned words", "lines", "never in a post"),
        FormField("disclosures", "Disclosures", "lines", "in every post, as #ad"),
        FormField("tone_rubric", "Questions about the tone", "lines", "a post must answer each with yes"),
    ]),
    FieldGroup("Background", [
        FormField("topics", "Topics", "lines", "one a line"),
        FormField("competitors", "Competitors", "lines", "one a line"),
        FormField("examples", "Examples", "lines", "one a line"),
    ]),
]  # fmt: skip

FORMS: Mapping[str, Sequence[FieldGroup]] = {"site": SITE, "mission": MISSION, "flow": FLOW, "brand": VOICE}
TARGETS = HANDLERS
