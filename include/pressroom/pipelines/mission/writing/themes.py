"""What a cycle talks about: pillars, tone and topics. The model proposes them; an empty or forbidden proposal
is replaced by what the mission and the brand say.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pressroom.domain.definitions import BrandContext
from pressroom.domain.errors import InvalidAnswer, InvalidMission
from pressroom.domain.markup.cutting import in_sentences
from pressroom.domain.markup.html import clip, distinct, plain, says_something
from pressroom.domain.missions import Mission
from pressroom.domain.strategy import Weights
from pressroom.domain.text import normalize
from pressroom.pipelines.answers import tokens_for
from pressroom.pipelines.mission.cycle import Cycle
from pressroom.pipelines.mission.writing.answers import (
    ANGLE_CHARS,
    LEAST_PILLARS,
    MOST_PILLARS,
    PILLAR_CHARS,
    TONE_CHARS,
    TOPIC_CHARS,
    Pillars,
    Topic,
    Topics,
    hashtag,
    shares,
    topics_type,
)
from pressroom.pipelines.mission.writing.compliance import excluded, forbidden
from pressroom.pipelines.prompts import render
from pressroom.pipelines.tools import Tools

PILLARS_WANTED = 3
TOPICS_PER_PILLAR = 8
"""The most topics of a pillar. Its slots use them in turn."""

TOPICS_IN_ALL = 24
"""The most topics that a small model can list in one answer."""

VARIETY = 2
"""The least topics of a pillar, if enough are available."""


@dataclass(frozen=True)
class StrategyBrief:
    """A cycle without a strategy, and what came before it.

    ``weights``: the weights in force. ``earlier``: the last cycle's strategy. ``used``: earlier topics, the
    latest first. ``proven``: the topics whose posts did best, the best first.
    """

    cycle: Cycle
    weights: Weights
    earlier: Mapping[str, Any] | None
    used: Sequence[str]
    proven: Sequence[str]

    @property
    def brand(self) -> BrandContext | None:
        """The brand context as it was at intake."""
        return self.cycle.brand_context


@dataclass(frozen=True)
class Pillar:
    """A theme of the mission. ``weight``: its share of the calendar before learning; they sum to 1."""

    name: str
    weight: float
    hashtag: str


async def pillars_and_tone(brief: StrategyBrief, tools: Tools) -> tuple[list[Pillar], str]:
    """The pillars (the mission's own, the earlier cycle's, or proposed ones) and the tone.

    Only a mission without pillars asks the model, and only for its first cycle: later ones keep the answer.
    Raises InvalidMission when a pillar of the mission is forbidden by its own rules.
    """
    mission = tools.mission
    earlier = brief.earlier or {}
    made = earlier.get("tone_guidelines", "")
    kept = [
        Pillar(**pillar)
        for pillar in earlier.get("content_pillars", [])
        if not _is_forbidden(pillar["name"], brief, mission)
    ]
    if mission.pillars:
        tone = mission.constraints.tone or made or _voice(brief)
        for name in mission.pillars:
            wrong = forbidden(name, mission.constraints.excluded_topics, brief.brand)
            if wrong:
                raise InvalidMission(f"pillars: {name!r} can have no posts: {'; '.join(wrong)}")
        if [normalize(pillar.name) for pillar in kept] == [normalize(name) for name in mission.pillars]:
            return kept, tone
        return _weighed(mission.pillars, [1] * len(mission.pillars)), tone
    if kept:
        tone = made or mission.constraints.tone or _voice(brief)
        return _weighed([pillar.name for pillar in kept], [pillar.weight for pillar in kept]), tone
    return await _proposed(brief, tools)


async def _proposed(brief: StrategyBrief, tools: Tools) -> tuple[list[Pillar], str]:
    """Pillars and tone as the model proposes them; the mission's own words where the answer is unusable."""
    mission = tools.mission
    prompt = await render(
        "strategy",
        account=tools.account,
        workflow=mission,
        brand=brief.brand,
        max_tokens=tokens_for(MOST_PILLARS * (PILLAR_CHARS + 60) + TONE_CHARS + 200),
        objectives=mission.objectives,
        platforms=[str(platform) for platform in mission.platforms],
        tone=mission.constraints.tone,
        excluded=mission.constraints.excluded_topics,
        count=PILLARS_WANTED,
    )
    answer = await tools.text.generate(prompt, Pillars)
    wishes = {
        name: pillar.weight for pillar in answer.pillars for name in distinct([pillar.name], 1, PILLAR_CHARS)
    }
    proposed = _usable_pillars([pillar.name for pillar in answer.pillars], brief, mission)[:MOST_PILLARS]
    topics = list(brief.brand.topics) if brief.brand else []
    spare = _usable_pillars([*proposed, *topics, *mission.objectives, mission.name], brief, mission)
    names = proposed if len(proposed) >= LEAST_PILLARS else spare[:LEAST_PILLARS]
    if not names:
        raise InvalidAnswer("no pillar was proposed that says something and touches nothing excluded")
    usual = sum(wishes.values()) / len(wishes) if wishes else 1
    tone = in_sentences(plain(answer.tone_guidelines), TONE_CHARS)
    if not says_something(tone, 4) or excluded(tone, mission.constraints.excluded_topics) is not None:
        tone = mission.constraints.tone or _voice(brief)
    return _weighed(names, [wishes.get(name, usual) for name in names]), tone


def _voice(brief: StrategyBrief) -> str:
    return (brief.brand.voice if brief.brand else "") or "clear and friendly"


def _weighed(names: Sequence[str], wishes: Sequence[float]) -> list[Pillar]:
    return [Pillar(name, weight, hashtag(name)) for name, weight in zip(names, shares(wishes), strict=True)]


def _usable_pillars(names: Sequence[str], brief: StrategyBrief, mission: Mission) -> list[str]:
    """The usable names, cleaned, each once."""
    cleaned = distinct(list(names), len(names), PILLAR_CHARS)
    return [name for name in cleaned if says_something(name, 3) and not _is_forbidden(name, brief, mission)]


def _is_forbidden(text: str, brief: StrategyBrief, mission: Mission) -> bool:
    """Whether the text is forbidden: a post on it could never be published."""
    return bool(forbidden(text, mission.constraints.excluded_topics, brief.brand))


async def topics_for(
    brief: StrategyBrief, pillars: Sequence[Pillar], needed: Counter[str], tone: str, tools: Tools
) -> Mapping[str, Sequence[Topic]]:
    """Topics for each pillar, at least one, never an excluded one. ``needed``: slots by pillar.

    One AI call. A pillar with too few topics gets the surplus of others, then the brand's topics and the
    objectives.
    """
    mission = tools.mission
    each = min(TOPICS_PER_PILLAR, max(needed.values()), max(1, TOPICS_IN_ALL // len(pillars)))
    prompt = await render(
        "topics",
        account=tools.account,
        workflow=mission,
        brand=brief.brand,
        max_tokens=tokens_for(len(pillars) * each * 260),
        objectives=mission.objectives,
        pillars=[pillar.name for pillar in pillars],
        tone=tone,
        excluded=mission.constraints.excluded_topics,
        proven=list(brief.proven),
        used=list(brief.used),
        sources=[source.title for source in mission.sources],
        count=each,
    )
    answer: Topics = await tools.text.generate(prompt, topics_type(len(pillars), each))
    by_pillar, left = _dealt(answer, pillars, each, brief, mission)
    for pillar in pillars:
        own = by_pillar[pillar.name]
        while left and len(own) < min(each, needed[pillar.name]):
            own.append(left.popleft())
        taken = {normalize(topic.topic) for topics in by_pillar.values() for topic in topics}
        spare = [topic for topic in _spare(brief, mission) if normalize(topic.topic) not in taken]
        own += spare[: max(0, min(VARIETY, needed[pillar.name]) - len(own))]
        if not own:
            own.append(Topic(pillar.name, ""))
    return by_pillar


def _dealt(
    answer: Topics, pillars: Sequence[Pillar], each: int, brief: StrategyBrief, mission: Mission
) -> tuple[dict[str, list[Topic]], deque[Topic]]:
    """Usable topics by pillar, and the surplus: beyond a pillar's quota, or for an unknown pillar."""
    by_pillar: dict[str, list[Topic]] = {pillar.name: [] for pillar in pillars}
    left: deque[Topic] = deque()
    taken: set[str] = set()
    for proposal in answer.topics:
        [text] = distinct([proposal.topic], 1, TOPIC_CHARS) or [""]
        [angle] = distinct([proposal.angle], 1, ANGLE_CHARS) or [""]
        topic = Topic(text, "" if normalize(angle) == normalize(text) else angle)
        if not says_something(topic.topic, 3) or _is_forbidden(
            f"{topic.topic}. {topic.angle}", brief, mission
        ):
            continue
        if normalize(topic.topic) in taken:
            continue
        taken.add(normalize(topic.topic))
        known = 1 <= proposal.pillar <= len(pillars)
        own = by_pillar[pillars[proposal.pillar - 1].name] if known else None
        if own is not None and len(own) < each:
            own.append(topic)
        else:
            left.append(topic)
    return by_pillar, left


def _spare(brief: StrategyBrief, mission: Mission) -> list[Topic]:
    """Topics from the brand and the objectives, for when the model's are too few."""
    texts = [*(brief.brand.topics if brief.brand else []), *mission.objectives]
    fit = [clip(text, TOPIC_CHARS) for text in texts if says_something(text, 3)]
    return [Topic(text, "") for text in fit if not _is_forbidden(text, brief, mission)]
