"""Flows: lists of steps that users compose. Any type of step can stand at any position, any number of
times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, StringConstraints, model_validator

from pressroom.domain.definitions import (
    ConnectionId,
    Definition,
    ImageSettings,
    NamedTarget,
    Pace,
    Prompts,
    Slug,
    SpendingCaps,
    TextSettings,
    Timezone,
    WorkflowDefinition,
)
from pressroom.domain.fetching import FetchSettings
from pressroom.domain.packets import digest
from pressroom.domain.schedules import Cron, CronSchedule

CONDITION_CHARS = 500
FEED_CHARS = 300
FEED_BYTES = 600
"""A feed and an id in it are one key of the database, which has a bound: a longer name becomes its hash."""

StepName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
ConditionText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=CONDITION_CHARS)
]

GO_TO = re.compile(r"^go to ([a-z][a-z0-9_]*)$")


class Step(Definition):
    """What all steps have. ``when``: a condition over item, packets and results; the step is skipped when it
    is false.

    ``on_failure``: what happens to the item when this step fails: ``stop`` (it fails), ``continue``,
    ``skip_item`` (it ends as skipped), or ``go to STEP`` (a later step).
    """

    name: StepName
    when: ConditionText | None = None
    on_failure: str = Field(default="stop", pattern=r"^(stop|continue|skip_item|go to [a-z][a-z0-9_]*)$")


class FetchStep(Step):
    """As the first step: brings items in. Elsewhere: fetches more material for an item."""

    type: Literal["fetch"] = "fetch"
    source: FetchSettings


class AiStep(Step):
    """The model works on the item's packets. ``prompt``: a Jinja2 template over item, packets and results.

    ``tools``: the publish steps whose handlers it may call: the adjacent ones, all of the flow, or those
    named. ``output``: field name → description of a field that the answer has beside tool calls. Without
    tools and output it answers with a text.
    """

    type: Literal["ai"] = "ai"
    prompt: str = Field(min_length=1, max_length=20_000)
    system: str = Field(default="", max_length=20_000)
    tools: Literal["adjacent", "all"] | list[StepName] = "adjacent"
    output: dict[StepName, str] = Field(default_factory=dict, max_length=20)
    max_tokens: int = Field(default=1024, ge=16, le=32_000)
    temperature: float | None = Field(default=None, ge=0, le=2)


class PublishStep(NamedTarget, Step):
    """Publishes to a target: by an AI step's tool call or, with ``mode: auto``, from the item's data."""

    type: Literal["publish"] = "publish"
    mode: Literal["ai", "auto"] = "ai"
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="fixed arguments that the content has not, such as board; they win over the model's",
    )


class PingStep(Step):
    """Sends a signed webhook. Its failure does not stop the item."""

    type: Literal["ping"] = "ping"
    connection: ConnectionId = Field(description="URL and secret of the receiver")
    message: str = Field(default="", max_length=5_000, description="a Jinja2 template")


class GateStep(Step):
    """The item waits here for an answer, by a person, a webhook or the time."""

    type: Literal["gate"] = "gate"
    by: Literal["webhook", "approval", "time"]
    subject: str = Field(default="", max_length=500, description="a Jinja2 template: what is asked")
    timeout_hours: float = Field(default=72, gt=0, le=8760)
    on_timeout: Literal["approve", "reject", "fail"] = "reject"
    notify: ConnectionId | None = Field(default=None, description="who gets the links, as a signed webhook")


class RouteRule(Definition):
    """Where the item goes when a condition holds."""

    when: ConditionText
    to: str = Field(
        pattern=r"^(next|end|skip|[a-z][a-z0-9_]*)$", description="a later step, next, end or skip"
    )


class RouteStep(Step):
    """Chooses the item's next step: by the first rule that holds, else ``otherwise``."""

    type: Literal["route"] = "route"
    rules: list[RouteRule] = Field(min_length=1, max_length=20)
    otherwise: str = Field(default="next", pattern=r"^(next|end|skip|[a-z][a-z0-9_]*)$")


class MediaStep(Step):
    """Makes a picture for the item. ``prompt``: a Jinja2 template."""

    type: Literal["media"] = "media"
    prompt: str = Field(min_length=1, max_length=5_000)
    alt: str = Field(default="", max_length=500)


AnyStep = Annotated[
    FetchStep | AiStep | PublishStep | PingStep | GateStep | RouteStep | MediaStep,
    Field(discriminator="type"),
]


class Trigger(Definition):
    """What starts a run besides a person: a schedule, an asset event, or an inbound webhook."""

    cron: Cron | None = None
    timezone: Timezone = "UTC"
    asset: str | None = Field(default=None, max_length=500, description="URI of an Airflow asset")
    webhook: ConnectionId | None = Field(default=None, description="the connection with the HMAC secret")

    @model_validator(mode="after")
    def _has_one_schedule(self) -> Trigger:
        if self.cron and self.asset:
            raise ValueError("cron and asset: a flow has one schedule")
        return self

    @property
    def slots(self) -> CronSchedule | None:
        """The schedule with its slots, None without one."""
        return CronSchedule(self.cron, self.timezone) if self.cron else None


class Flow(WorkflowDefinition):
    """A list of steps, and when it runs."""

    kind: Literal["Flow"] = "Flow"
    description: str = Field(default="", max_length=2000)
    language: str = Field(default="en", max_length=20)
    status: Literal["active", "disabled"] = "active"
    brand: Slug | None = Field(default=None, description="slug of a BrandContext of the account")
    trigger: Trigger = Trigger()
    feed: str = Field(
        default="",
        max_length=FEED_CHARS,
        description="what its items come from, by name. Flows with the same one publish an item once where"
        " they share a target, and a source that moved stays known. Left out: kind and address of the source",
    )
    steps: list[AnyStep] = Field(min_length=1, max_length=50)
    text: TextSettings = TextSettings()
    images: ImageSettings = ImageSettings()
    allow_hosts: list[str] = Field(
        default_factory=list, description="private hosts that fetching may reach, as host or host:port"
    )
    work: Pace = Pace()
    caps: SpendingCaps = SpendingCaps()
    prompts: Prompts = Prompts()

    @property
    def pace(self) -> Pace:
        """How fast its stages work."""
        return self.work

    @property
    def schedule_text(self) -> str | None:
        slots = self.trigger.slots if self.status == "active" else None
        return None if slots is None else str(slots)

    @property
    def fetches(self) -> FetchStep | None:
        """The step that brings items in; None when the trigger does."""
        first = self.steps[0]
        return first if isinstance(first, FetchStep) else None

    @property
    def feed_name(self) -> str:
        """What its items come from, within which an item's id is unique: the ids of two feeds say nothing of
        each other.
        """
        fetch = self.fetches
        name = self.feed or (fetch.source.feed if fetch else f"trigger {self.slug}")
        return name if len(name.encode("utf-8", "replace")) <= FEED_BYTES else digest(name)

    def step(self, name: str) -> tuple[int, AnyStep]:
        """A step and its position, from 0. Raises KeyError."""
        for position, step in enumerate(self.steps):
            if step.name == name:
                return position, step
        raise KeyError(name)

    def visible(self, position: int) -> Iterator[PublishStep]:
        """The publish steps whose handlers the AI step at that position may call."""
        step = self.steps[position]
        if not isinstance(step, AiStep):
            return
        for other, candidate in enumerate(self.steps):
            if not isinstance(candidate, PublishStep) or candidate.mode != "ai":
                continue
            if step.tools == "all" or (
                abs(other - position) == 1 if step.tools == "adjacent" else candidate.name in step.tools
            ):
                yield candidate


CONDITION_VARIABLES = ("item", "packets", "results", "run")
"""The variables of a condition.

``item``: the fields of its source item; ``packets``: a list of {step, kind, data}, oldest first;
``results``: step name → that step's last result; ``run``: facts on the run.
"""


class Condition(Protocol):
    """A valid condition. Evaluating it has no effect and can be repeated."""

    @property
    def text(self) -> str:
        """The condition as its author wrote it."""
        ...

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """Its value as JSON. Raises PermanentError when a key is missing, types do not fit, or it takes
        too long.
        """
        ...

    def holds(self, variables: Mapping[str, Any]) -> bool:
        """Its value, which must be true or false. Raises PermanentError when it is neither."""
        ...
