"""What users declare: accounts, brand contexts and sites. Missions and flows have files of their own.
Unknown keys are refused.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import pendulum
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from pressroom.domain.errors import QuotaExceeded
from pressroom.domain.grants.access import EVERYTHING, GrantKind, Name
from pressroom.domain.notices.kinds import NoticeKind
from pressroom.domain.schedules import Cron, CronSchedule

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
Color = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
Cents = Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=4)]
ConnectionId = Annotated[str, StringConstraints(pattern=r"^[\w.-]+$", max_length=200)]
GrantedName = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Credits = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=2)]
Recipient = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9#@._%+-]{1,64}(@[A-Za-z0-9.-]{1,190})?$")]

# JSON Schema's own "time" has an offset; these are the local times of a time zone beside them.
LocalTime = Annotated[dt.time, WithJsonSchema({"type": "string", "examples": ["14:30"]})]

Rows = Literal[
    "sites",
    "missions",
    "flows",
    "gates",
    "brand_contexts",
    "keywords",
    "ideas",
    "articles",
    "api_keys",
    "links",
]
Sizes = Literal["definition_bytes", "brand_bytes", "item_bytes"]


def _known_timezone(name: str) -> str:
    try:
        pendulum.timezone(name)
    except (ValueError, OSError):
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin") from None
    return name


Timezone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_timezone)]


class Definition(BaseModel):
    """Base of all definitions: frozen, and strict about keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Role(StrEnum):
    """What a member may do. Each role includes the roles before it."""

    VIEWER = "viewer"
    EDITOR = "editor"
    APPROVER = "approver"
    OWNER = "owner"

    def covers(self, role: Role) -> bool:
        """Whether it may do what the other role may."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(role)


class Charges(Definition):
    """Credits charged per finished item."""

    keywords_per_credit: int = Field(default=5, ge=1, description="keywords clustered for one credit")
    cluster: Credits = Decimal(2)
    article: Credits = Decimal(5)
    prompt_set: Credits = Decimal(2)
    image: Credits = Decimal(2)
    calendar: Credits = Field(default=Decimal(2), description="a mission's strategy for one cycle")
    post: Credits = Decimal(1)


class AccountCaps(Definition):
    """Ceilings on what providers may cost, in cents. None: no ceiling."""

    month_cents: Cents | None = None
    total_cents: Cents | None = None


class PromptOverride(Definition):
    """Jinja2 templates that replace a prompt. None keeps the built-in template."""

    system: str | None = None
    user: str | None = None


class Prompts(Definition):
    """Replaced prompts, by name. A site's win over its account's."""

    clusters: PromptOverride = PromptOverride()
    ideas: PromptOverride = PromptOverride()
    content: PromptOverride = PromptOverride()
    content_plan: PromptOverride = PromptOverride()
    content_section: PromptOverride = PromptOverride()
    image_prompts: PromptOverride = PromptOverride()
    strategy: PromptOverride = PromptOverride()
    topics: PromptOverride = PromptOverride()
    post: PromptOverride = PromptOverride()
    post_repair: PromptOverride = PromptOverride()
    tone_check: PromptOverride = PromptOverride()


def _exceeded(what: str, said: str, quota: int) -> QuotaExceeded:
    more = f"`quotas: {{{what}: {2 * quota or 1}}}`"
    return QuotaExceeded(f"{said}: an operator can raise it in the account's definition, as {more}")


class Quotas(Definition):
    """How much an account may have of what all accounts share. The defaults are more than an agency needs."""

    sites: int = Field(default=5_000, ge=0)
    missions: int = Field(default=2_000, ge=0)
    flows: int = Field(default=500, ge=0)
    gates: int = Field(default=2_000, ge=0, description="of all flows together: each is tasks of a DAG")
    brand_contexts: int = Field(default=1_000, ge=0)
    keywords: int = Field(default=500_000, ge=0)
    ideas: int = Field(default=1_000_000, ge=0)
    articles: int = Field(default=1_000_000, ge=0)
    api_keys: int = Field(default=100, ge=0, description="keys that are valid")
    links: int = Field(default=5_000, ge=0, description="links for people without a login that are valid")
    log_streams: int = Field(
        default=200, ge=0, description="of logs and of the page, open at a time, in each API server process"
    )
    definition_bytes: int = Field(default=1_500_000, ge=0, description="of one site, mission or flow as JSON")
    brand_bytes: int = Field(default=100_000, ge=0, description="of one brand context as JSON")
    item_bytes: int = Field(default=200_000, ge=0, description="of the item that a job is started with")

    def must_hold(self, what: Rows, number: int) -> None:
        """Raises QuotaExceeded when the account would have more rows."""
        quota = getattr(self, what)
        if number > quota:
            raise _exceeded(what, f"the account may have {quota} {what.replace('_', ' ')}", quota)

    def must_fit(self, what: Sizes, size: int) -> None:
        """Raises QuotaExceeded when something is larger than one may be."""
        quota = getattr(self, what)
        if size > quota:
            kind = what.removesuffix("_bytes")
            raise _exceeded(what, f"a {kind} may have {quota} bytes, and this one has {size}", quota)

    def must_open(self, streams: int) -> None:
        """Raises QuotaExceeded when more streams would be open."""
        if streams > self.log_streams:
            said = f"the account may have {self.log_streams} streams of logs and of the page open at a time"
            raise _exceeded("log_streams", said, self.log_streams)


class Grants(Definition):
    """What an account may name that is the installation's. Operators grant it."""

    everything: bool = Field(default=False, description="whatever there is, also what others are granted")
    connections: list[ConnectionId] = Field(default_factory=list, max_length=1000)
    hosts: list[GrantedName] = Field(
        default_factory=list, max_length=1000, description="private hosts, as host or host:port"
    )
    file_roots: list[GrantedName] = Field(
        default_factory=list, max_length=1000, description="folders, such as s3://bucket/drafts"
    )
    assets: list[GrantedName] = Field(
        default_factory=list, max_length=1000, description="URIs of Airflow assets that may start flows"
    )

    @property
    def names(self) -> frozenset[Name]:
        """All of it, as the rule knows it."""
        listed = {(kind, name) for kind, key in _GRANTED.items() for name in getattr(self, key)}
        return frozenset(listed | ({EVERYTHING} if self.everything else set()))

    @classmethod
    def of(cls, names: Iterable[Name]) -> Grants:
        """The reverse of ``names``."""
        lists: dict[str, Any] = {key: [] for key in _GRANTED.values()}
        all_names = sorted(names)
        for kind, name in all_names:
            if kind in _GRANTED:
                lists[_GRANTED[kind]].append(name)
        return cls(everything=EVERYTHING in all_names, **lists)


_GRANTED = {
    GrantKind.CONNECTION: "connections",
    GrantKind.HOST: "hosts",
    GrantKind.FILE_ROOT: "file_roots",
    GrantKind.ASSET: "assets",
}


class QuietHours(Definition):
    """The time of day in which nobody is disturbed; it may go past midnight."""

    begin: LocalTime = Field(examples=["20:00"])
    end: LocalTime = Field(examples=["07:00"])

    @model_validator(mode="after")
    def _has_a_length(self) -> QuietHours:
        if self.begin == self.end:
            raise ValueError("begin and end are the same: leave quiet out, or let it have a length")
        return self

    def includes(self, clock: dt.time) -> bool:
        """Whether it is quiet at a local time of day. Its end is not part of it."""
        if self.begin < self.end:
            return self.begin <= clock < self.end
        return clock >= self.begin or clock < self.end


class ChannelSettings(Definition):
    """How an account, or one member of it, learns what happened.

    ``connection``: an Airflow connection of the type pressroom_email, pressroom_slack or pressroom_webhook.
    """

    by: Literal["email", "slack", "webhook"]
    connection: ConnectionId
    to: list[Recipient] = Field(
        default_factory=list, max_length=20, description="addresses of e-mail; channels of a Slack bot"
    )
    about: list[NoticeKind] = Field(
        default_factory=lambda: list(NoticeKind), min_length=1, description="what it tells; all by default"
    )
    workflows: list[Slug] = Field(
        default_factory=list, max_length=1000, description="of which workflows, by slug; empty: of all"
    )
    member: str | None = Field(
        default=None, max_length=200, description="the member it is for: it rests when the membership ends"
    )
    timezone: Timezone = Field(default="UTC", description="of the quiet hours, and of the times it tells")
    quiet: QuietHours | None = Field(default=None, description="what happens then is told afterwards")
    digest_minutes: int = Field(
        default=10, ge=0, le=1440, description="at most one message of a kind in this time; 0: as it happens"
    )

    @model_validator(mode="after")
    def _has_recipients(self) -> Self:
        if self.by == "email" and not (self.to and all("@" in each[1:] for each in self.to)):
            raise ValueError("to: a channel by e-mail needs addresses, such as [ann@example.com]")
        if self.by == "webhook" and self.to:
            raise ValueError("to: a webhook's receiver is its connection's: leave `to` out")
        if self.by == "slack" and any(each.rfind("@") > 0 for each in self.to):
            raise ValueError("to: a Slack channel is named as in [#editors]; it is no e-mail address")
        return self

    def rests(self, now: dt.datetime) -> bool:
        """Whether these are its quiet hours. By the clock on the wall, so a changed clock changes nothing."""
        return self.quiet is not None and self.quiet.includes(now.astimezone(ZoneInfo(self.timezone)).time())


MOST_CHANNELS = 100
"""Channels of notices of an account."""


class NoticeChannel(ChannelSettings):
    """A channel of notices by its name."""

    name: Slug


class Account(Definition):
    """A tenant."""

    kind: Literal["Account"] = "Account"
    slug: Slug
    name: str = Field(min_length=1, max_length=120)
    opening_credits: Credits = Field(default=Decimal(0), description="granted once, when the account is made")
    members: dict[str, Role] = Field(default_factory=dict, description="Airflow user name → role")
    charges: Charges = Charges()
    caps: AccountCaps = AccountCaps()
    prompts: Prompts = Prompts()
    quotas: Quotas = Quotas()
    grants: Grants | None = Field(
        default=None, description="connections, hosts, folders and assets that it may name; null: as they are"
    )
    notices: list[NoticeChannel] | None = Field(
        default=None, max_length=MOST_CHANNELS, description="who is told what happens; null: as they are"
    )

    @field_validator("notices")
    @classmethod
    def _named_once(cls, channels: list[NoticeChannel] | None) -> list[NoticeChannel] | None:
        names = [each.name for each in channels or ()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the name {twice[0]!r} is given twice: each channel has its own")
        return channels


class BrandContext(Definition):
    """The brand that speaks. Every prompt and every image gets it."""

    kind: Literal["BrandContext"] = "BrandContext"
    account: Slug
    slug: Slug
    name: str = Field(min_length=1, max_length=120)
    voice: str = Field(default="", max_length=2000)
    audience: str = Field(default="", max_length=1000)
    topics: list[str] = Field(default_factory=list)
    competitors: list[str] = Field(default_factory=list)
    colors: list[Color] = Field(default_factory=list, max_length=5, description="main colour first")
    dos: list[str] = Field(default_factory=list)
    donts: list[str] = Field(default_factory=list)
    examples: list[str] = Field(default_factory=list)
    visual_style: str = Field(default="", max_length=1000, description="how pictures look")
    banned_words: list[str] = Field(default_factory=list, description="never in a post, whatever their case")
    disclosures: list[str] = Field(
        default_factory=list, description="every post must carry each of these, e.g. #ad"
    )
    tone_rubric: list[str] = Field(
        default_factory=list,
        max_length=10,
        description="questions that the model must answer with yes for a post",
    )


class BatchSizes(Definition):
    """Items that one mapped task works through, per stage. For clusters: keywords in one call."""

    clusters: int = Field(default=20, ge=5, le=100)
    ideas: int = Field(default=32, ge=1, le=500)
    tasks: int = Field(default=200, ge=1, le=5000)
    content: int = Field(default=32, ge=1, le=500)
    image_prompts: int = Field(default=32, ge=1, le=500)
    images: int = Field(default=32, ge=1, le=500)


class Pace(Definition):
    """How fast a workflow's stages work."""

    within_stage_delay: int = Field(default=0, ge=0, le=3600, description="seconds between batches")
    between_stage_delay: int = Field(default=0, ge=0, le=86400, description="seconds between stages")
    concurrency: int = Field(default=8, ge=1, le=64, description="items of a stage in work at once")


class Automation(Pace):
    """When and how a site's pipeline runs."""

    enabled: bool = Field(default=False, description="false: no schedule; it can still be triggered")
    frequency: Literal["daily", "weekly", "monthly"] = "daily"
    time: LocalTime = Field(default=dt.time(2, 0), description="local time of day")
    timezone: Timezone = "UTC"
    cron: Cron | None = Field(default=None, description="any cron expression, instead of frequency and time")
    batch_sizes: BatchSizes = BatchSizes()
    articles_per_run: int | None = Field(
        default=None, ge=1, le=1_000_000, description="articles written in a run; None: all"
    )

    @property
    def schedule(self) -> str | None:
        """The cron expression in force, None when not enabled."""
        if not self.enabled:
            return None
        if self.cron:
            return self.cron
        day = {"daily": "* * *", "weekly": "* * 1", "monthly": "1 * *"}[self.frequency]
        return f"{self.time.minute} {self.time.hour} {day}"

    @property
    def slots(self) -> CronSchedule | None:
        """The schedule in force with its slots, None when not enabled."""
        return CronSchedule(self.schedule, self.timezone) if self.schedule else None


class TextSettings(Definition):
    """Which model writes, and how."""

    connection: str = "pressroom_text"
    model: str | None = Field(default=None, description="None: the connection's")
    temperature: float | None = Field(
        default=0.7, ge=0, le=2, description="null: never sent, for models that refuse it"
    )


class SiteTextSettings(TextSettings):
    """Which model writes for a site, and how."""

    batch: bool = Field(
        default=False,
        description="articles and image prompts are asked for in batches, at half the price, within a day",
    )


class ArticleSettings(Definition):
    """What an article looks like."""

    ideas_per_cluster: int = Field(default=3, ge=1, le=20)
    target_words: int = Field(
        default=1200, ge=100, le=10_000, description="in Chinese and Japanese: characters"
    )
    words_per_call: int = Field(default=1500, ge=80, le=5_000, description="above this, written in sections")


class ImageSettings(Definition):
    """Who draws, and how many."""

    provider: Literal["card", "openai", "runware"] = "card"
    connection: str = "pressroom_images"
    model: str | None = None
    per_article: int = Field(default=4, ge=1, le=12, description="one featured, the others in the article")
    width: int = Field(default=1200, ge=256, le=2048)
    height: int = Field(default=672, ge=256, le=2048)


class EmbeddingSettings(Definition):
    """What tells how close keywords are. ``local``: on this machine, for English, and free."""

    provider: Literal["local", "openai"] = "local"
    connection: str = "pressroom_embeddings"
    model: str | None = Field(default=None, description="None: the connection's")


class NamedTarget(Definition):
    """A target as a definition names it."""

    to: str = Field(description="the handler, such as wordpress")
    connection: ConnectionId | None = Field(default=None, description="None: pressroom_<handler>")

    @property
    def connection_id(self) -> str:
        """The Airflow connection."""
        return self.connection or f"pressroom_{self.to}"

    @property
    def target_name(self) -> str:
        """How the publication ledger names the target."""
        return f"{self.connection_id}/{self.to}"


class SiteTarget(NamedTarget):
    """A place that a site's approved articles go to."""

    settings: dict[str, Any] = Field(
        default_factory=dict, description="fixed arguments that the article has not, such as categories"
    )


class SitePublish(Definition):
    """Where approved articles go."""

    targets: list[SiteTarget] = Field(default_factory=list, max_length=20)
    auto_publish: bool = Field(
        default=False, description="true: articles are approved when they come to review"
    )


class SpendingCaps(Definition):
    """Ceilings on what providers may cost, in cents. None: no ceiling."""

    run_cents: Cents | None = None
    month_cents: Cents | None = None


class WorkflowDefinition(Definition):
    """What has a DAG and runs. The base of sites, missions and flows."""

    kind: str
    account: Slug
    slug: Slug
    name: str = Field(min_length=1, max_length=120)
    fail_on: Literal["failed", "partial"] = Field(
        default="failed",
        description="which ends make the DAG run red in Airflow; partial: also one with work left undone",
    )

    def is_failure(self, status: str) -> bool:
        """Whether Airflow has to show a run that ended so as failed."""
        return status == "failed" or (status == "partial" and self.fail_on == "partial")

    @property
    def dag_id(self) -> str:
        """The DAG that runs it."""
        return f"{self.kind.lower()}__{self.slug}"

    @property
    def total_cents(self) -> Decimal | None:
        """The cap on what providers may cost from beginning to end, in cents. None: it has no end."""
        return None

    @property
    def schedule_text(self) -> str | None:
        """All that decides when runs start by themselves, as one text; None when none do.

        The store notes since when it is so: a schedule starts at its next slot, not with its last one.
        """
        return None


class Site(WorkflowDefinition):
    """A web property."""

    kind: Literal["Site"] = "Site"
    url: str = Field(default="", max_length=500)
    language: str = Field(default="en", max_length=20)
    subject: str = Field(default="", max_length=500, description="what the site is about, in a line")
    status: Literal["active", "disabled"] = "active"
    brand: Slug | None = Field(default=None, description="slug of a BrandContext of the account")
    automation: Automation = Automation()
    text: SiteTextSettings = SiteTextSettings()
    article: ArticleSettings = ArticleSettings()
    images: ImageSettings = ImageSettings()
    embeddings: EmbeddingSettings = EmbeddingSettings()
    caps: SpendingCaps = SpendingCaps()
    publish: SitePublish = SitePublish()
    prompts: Prompts = Prompts()

    @property
    def approved_asset(self) -> str:
        """The asset that gets an event when articles are approved."""
        return f"pressroom://site/{self.slug}/approved"

    @property
    def pace(self) -> Pace:
        """How fast its stages work."""
        return self.automation

    @property
    def schedule_text(self) -> str | None:
        slots = self.automation.slots if self.status == "active" else None
        return None if slots is None else str(slots)


def dump(definition: Definition) -> dict[str, Any]:
    """The definition as plain JSON values, defaults included."""
    return definition.model_dump(mode="json")
