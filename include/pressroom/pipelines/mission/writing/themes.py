"""What a cycle talks about: pillars, tone and topics. The model proposes words; what says nothing, or must
not be said, is replaced by what the mission and the brand say.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pressroom.domain.definitions import BrandContext
from pressroom.domain.errors import InvalidAnswer, InvalidMission
from pressroom.domain.missions import Mission
from pressroom.domain.strategy import Weights
from pressroom.domain.text import normalize
from pressroom.pipelines.answers import clip, distinct, says_something, tokens_for, whole_sentences
from pressroom.pipelines.mission.cycle import Cycle
from pressroom.pipelines.mission.writing.compliance import forbidden
from pressroom.pipelines.mission.writing.exclusions import excluded
from pressroom.pipelines.mission.writing.strategy_answers import (
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
from pressroom.pipelines.prompts import render
from pressroom.pipelines.tools import Tools

PILLARS_WANTED = 3
TOPICS_PER_PILLAR = 8
"""At most; a pillar's slots go through them in turn."""

TOPICS_IN_ALL = 24
"""What one answer of a small model holds."""

VARIETY = 2
"""Topics that a pillar has at least, where there are so many to be had."""


@dataclass(frozen=True)
class Brief:
    """A cycle without a strategy, and what came before it.

    ``weights``: what optimize left. ``earlier``: the last cycle's strategy, if there was one. ``used`` and
    ``proven``: topics, latest and best first.
    """

    cycle: Cycle
    weights: Weights
    earlier: Mapping[str, Any] | None
    used: Sequence[str]
    proven: Sequence[str]

    @property
    def brand(self) -> BrandContext | None:
        """As it was at intake."""
        return self.cycle.brand_context


@dataclass(frozen=True)
class Pillar:
    """A theme of the mission. ``weight``: its share of the calendar before learning; they sum to 1."""

    name: str
    weight: float
    hashtag: str


async def pillars_and_tone(brief: Brief, tools: Tools) -> tuple[list[Pillar], str]:
    """The mission's own pillars, or the earlier cycle's, or proposed ones; and the tone.

    Only a mission without pillars asks the model, and only once: its later cycles keep what it got. Raises
    InvalidMission when one of the mission's own can have no posts.
    """
    mission = tools.mission
    earlier = brief.earlier or {}
    made = earlier.get("tone_guidelines", "")
    kept = [
        Pillar(**one) for one in earlier.get("content_pillars", []) if not _unfit(one["name"], brief, mission)
    ]
    if mission.pillars:
        tone = mission.constraints.tone or made or _voice(brief)
        for name in mission.pillars:
            wrong = forbidden(name, mission.constraints.excluded_topics, brief.brand)
            if wrong:
                raise InvalidMission(f"pillars: {name!r} can have no posts: {'; '.join(wrong)}")
        if [normalize(one.name) for one in kept] == [normalize(name) for name in mission.pillars]:
            return kept, tone
        return _weighed(mission.pillars, [1] * len(mission.pillars)), tone
    if kept:
        tone = made or mission.constraints.tone or _voice(brief)
        return _weighed([one.name for one in kept], [one.weight for one in kept]), tone
    return await _proposed(brief, tools)


async def _proposed(brief: Brief, tools: Tools) -> tuple[list[Pillar], str]:
    """Pillars and tone as the model proposes them; where it says nothing usable, what the mission says."""
    mission = tools.mission
    prompt = render(
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
    wishes = {name: one.weight for one in answer.pillars for name in distinct([one.name], 1, PILLAR_CHARS)}
    proposed = _fit_pillars([one.name for one in answer.pillars], brief, mission)[:MOST_PILLARS]
    topics = list(brief.brand.topics) if brief.brand else []
    spare = _fit_pillars([*proposed, *topics, *mission.objectives, mission.name], brief, mission)
    names = proposed if len(proposed) >= LEAST_PILLARS else spare[:LEAST_PILLARS]
    if not names:
        raise InvalidAnswer("no pillar was proposed that says something and touches nothing excluded")
    usual = sum(wishes.values()) / len(wishes) if wishes else 1
    tone = whole_sentences(clip(answer.tone_guidelines, TONE_CHARS), TONE_CHARS)
    if not says_something(tone, 4) or excluded(tone, mission.constraints.excluded_topics) is not None:
        tone = mission.constraints.tone or _voice(brief)
    return _weighed(names, [wishes.get(name, usual) for name in names]), tone


def _voice(brief: Brief) -> str:
    return (brief.brand.voice if brief.brand else "") or "clear and friendly"


def _weighed(names: Sequence[str], wishes: Sequence[float]) -> list[Pillar]:
    return [Pillar(name, weight, hashtag(name)) for name, weight in zip(names, shares(wishes), strict=True)]


def _fit_pillars(names: Sequence[str], brief: Brief, mission: Mission) -> list[str]:
    """Those that say something, each once, cleaned."""
    found = distinct(list(names), len(names), PILLAR_CHARS)
    return [name for name in found if says_something(name, 3) and not _unfit(name, brief, mission)]


def _unfit(text: str, brief: Brief, mission: Mission) -> bool:
    """Whether a text must be in no calendar: a post on it could never be published."""
    return bool(forbidden(text, mission.constraints.excluded_topics, brief.brand))


async def topics_for(
    brief: Brief, pillars: Sequence[Pillar], needed: Counter[str], tone: str, tools: Tools
) -> Mapping[str, Sequence[Topic]]:
    """Topics for each pillar, one at least; an excluded one never. ``needed``: slots by pillar.

    One AI call. What a pillar lacks is filled up from what others have too many of, from the brand's topics
    and from the objectives.
    """
    mission = tools.mission
    each = min(TOPICS_PER_PILLAR, max(needed.values()), max(1, TOPICS_IN_ALL // len(pillars)))
    prompt = render(
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
    found, left = _dealt(answer, pillars, each, brief, mission)
    for pillar in pillars:
        mine = found[pillar.name]
        while left and len(mine) < min(each, needed[pillar.name]):
            mine.append(left.popleft())
        taken = {normalize(one.topic) for topics in found.values() for one in topics}
        spare = [one for one in _spare(brief, mission) if normalize(one.topic) not in taken]
        mine += spare[: max(0, min(VARIETY, needed[pillar.name]) - len(mine))]
        if not mine:
            mine.append(Topic(pillar.name, ""))
    return found


def _dealt(
    answer: Topics, pillars: Sequence[Pillar], each: int, brief: Brief, mission: Mission
) -> tuple[dict[str, list[Topic]], deque[Topic]]:
    """The usable topics by pillar, and those left over: too many for theirs, or for none that there is."""
    found: dict[str, list[Topic]] = {pillar.name: [] for pillar in pillars}
    left: deque[Topic] = deque()
    taken: set[str] = set()
    for one in answer.topics:
        [text] = distinct([one.topic], 1, TOPIC_CHARS) or [""]
        [angle] = distinct([one.angle], 1, ANGLE_CHARS) or [""]
        topic = Topic(text, "" if normalize(angle) == normalize(text) else angle)
        if not says_something(topic.topic, 3) or _unfit(f"{topic.topic}. {topic.angle}", brief, mission):
            continue
        if normalize(topic.topic) in taken:
            continue
        taken.add(normalize(topic.topic))
        known = 1 <= one.pillar <= len(pillars)
        mine = found[pillars[one.pillar - 1].name] if known else None
        if mine is not None and len(mine) < each:
            mine.append(topic)
        else:
            left.append(topic)
    return found, left


def _spare(brief: Brief, mission: Mission) -> list[Topic]:
    """What there is to say when the model had nothing usable to say."""
    told = [*(brief.brand.topics if brief.brand else []), *mission.objectives]
    fit = [clip(one, TOPIC_CHARS) for one in told if says_something(one, 3)]
    return [Topic(one, "") for one in fit if not _unfit(one, brief, mission)]
