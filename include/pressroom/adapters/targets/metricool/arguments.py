"""What a post through Metricool can be told: its network, its texts, and what that network alone knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import pendulum
from pydantic import (
    AfterValidator,
    Field,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from pressroom.adapters.targets.text import is_web_link
from pressroom.domain.platforms import Draft, rules, violations
from pressroom.domain.publishing import TargetArguments, TargetLimits
from pressroom.domain.social import Platform

LINK = 2048


class MetricoolArguments(TargetArguments):
    """A post on one network, within that network's rules."""

    settable: ClassVar[frozenset[str]] = frozenset({"network", "board", "timezone"})
    places: ClassVar = ("network", "board")

    network: Platform = Field(description="where it is posted")
    text: str = Field(min_length=1, description="the post, hashtags in it")
    title: str = Field(default="", description="the pin's title; Pinterest only")
    link: Annotated[str, AfterValidator(is_web_link)] = Field(
        default="", max_length=LINK, description="the web page that the post leads to"
    )
    board: str = Field(
        default="",
        pattern=r"^\d*$",
        description="id of the pin's board; Pinterest only; empty: the usual one",
    )
    # What missions say, and no model is asked for.
    thread: SkipJsonSchema[tuple[str, ...]] = Field(default=(), description="the texts that follow the first")
    timezone: SkipJsonSchema[str] = Field(
        default="UTC", description="IANA zone in which people read the time"
    )

    @classmethod
    def limits_for(cls, settings: Mapping[str, Any]) -> TargetLimits:
        """Those of the network; its lengths are among its rules."""
        network = settings.get("network") or cls.model_fields["network"].default
        if network not in set(Platform):
            return TargetLimits(picture_urls=True, schedules=True)
        own = rules(Platform(network))
        return TargetLimits(
            pictures=own.media_most,
            picture_required=own.media_required,
            picture_urls=True,
            schedules=True,
        )

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            return pendulum.timezone(name).name
        except (ValueError, OSError):
            raise ValueError("is not the name of a time zone") from None

    @model_validator(mode="after")
    def _keeps_the_rules(self) -> Self:
        pin = self.network is Platform.PINTEREST
        if not pin and (self.title or self.board):
            raise ValueError(f"{rules(self.network).name} has no title and no board")
        kind = "thread" if self.thread else rules(self.network).formats[0]
        draft = Draft(self.network, kind, self.parts, self.title)
        broken = [violation for violation in violations(draft) if violation.rule != "media_required"]
        if broken:
            raise ValueError("; ".join(violation.detail for violation in broken))
        return self

    @property
    def parts(self) -> list[str]:
        """The texts as they appear, with the link in the last where the network has no field for it.

        LinkedIn makes its preview of an article out of a link in the text.
        """
        texts = [self.text, *self.thread]
        if self.link and self.network is not Platform.PINTEREST and self.link not in texts[-1]:
            texts[-1] = f"{texts[-1]}\n\n{self.link}"
        return texts


def arguments_for(network: Platform | None) -> type[MetricoolArguments]:
    """The arguments of posts on one network, with its bounds in their schema; of any network for None."""
    if network is None:
        return MetricoolArguments
    own = rules(network)
    text = Field(
        min_length=1, description="the post, hashtags in it", json_schema_extra={"maxLength": own.text}
    )
    title = Field(default="", max_length=own.title, description="the pin's title; Pinterest only")
    fields: dict[str, Any] = {
        "network": (Literal[network], Field(default=network, description="where it is posted")),
        "text": (str, text),
        "title": (str, title),
    }
    return create_model(f"{own.name}Arguments", __base__=MetricoolArguments, **fields)
