"""The strategy stage without a store: what is asked, what nonsense becomes, what the calendar is made of."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pressroom.domain.definitions import BrandContext
from pressroom.domain.errors import InvalidAnswer, InvalidMission
from pressroom.domain.missions import Mission
from pressroom.domain.social import Platform
from pressroom.pipelines.mission.cycle import Cycle
from pressroom.pipelines.mission.strategy import Strategy, process
from pressroom.pipelines.mission.writing.answers import Pillars, hashtag, shares, topics_type
from pressroom.pipelines.mission.writing.compliance import excluded
from pressroom.pipelines.mission.writing.themes import StrategyBrief
from pressroom.pipelines.tools import Tools
from pressroom.testing import FakeText, connected, tools

START = datetime(2026, 3, 2, tzinfo=UTC)
PILLARS = {
    "pillars": [
        {"name": "Thought Leadership", "weight": 40},
        {"name": "Product Updates", "weight": 30},
        {"name": "Community Engagement", "weight": 30},
    ],
    "tone_guidelines": "Professional, technically accurate, conversational",
}


def mission(**fields: Any) -> Mission:
    facts = {"objectives": ["be known for good APIs"], "platforms": ["twitter", "linkedin"], **fields}
    return Mission(account="acme", slug="launch", name="Launch", **facts)


def topics(*named: tuple[int, str]) -> dict[str, Any]:
    return {"topics": [{"pillar": number, "topic": text, "angle": "from near"} for number, text in named]}


def brief(
    brand: BrandContext | None = None, days: int = 7, earlier: dict[str, Any] | None = None, **facts: Any
) -> StrategyBrief:
    body = brand.model_dump(mode="json") if brand else None
    context = {"earliest_slot": START.isoformat()}
    cycle = Cycle(
        7, 1, 3, START, START + timedelta(days=days), START + timedelta(days=days), context, body, None, None,
        None, None,
    )  # fmt: skip
    return StrategyBrief(
        cycle, facts.get("weights", {}), earlier, facts.get("used", []), facts.get("proven", [])
    )


def collaborators(text: FakeText, **fields: Any) -> Tools:
    return tools(site=mission(**fields), text=text, social=connected(START))


def plan(text: FakeText, given: StrategyBrief | None = None, **fields: Any) -> Strategy:
    return asyncio.run(process(given or brief(), collaborators(text, **fields)))


def test_pillars_and_tone_are_the_models_words_and_the_weights_sum_to_one() -> None:
    made = plan(FakeText({"strategy": PILLARS}))
    assert [(one.name, one.weight) for one in made.pillars] == [
        ("Thought Leadership", 0.4), ("Product Updates", 0.3), ("Community Engagement", 0.3),
    ]  # fmt: skip
    assert [one.hashtag for one in made.pillars] == [
        "#ThoughtLeadership", "#ProductUpdates", "#CommunityEngagement",
    ]  # fmt: skip
    assert made.tone == "Professional, technically accurate, conversational"


def test_one_call_names_the_pillars_and_one_the_topics_however_many_slots() -> None:
    text = FakeText({"strategy": PILLARS})
    made = plan(text, brief(days=30))
    assert len(made.slots) == 60
    assert [prompt.name for prompt in text.prompts] == ["strategy", "topics"]


def test_a_mission_with_pillars_of_its_own_asks_for_topics_only() -> None:
    text = FakeText()
    made = plan(text, pillars=["Guides", "Stories", "News"], constraints={"tone": "dry and short"})
    assert [(one.name, one.weight) for one in made.pillars] == [
        ("Guides", 0.34), ("Stories", 0.33), ("News", 0.33),
    ]  # fmt: skip
    assert made.tone == "dry and short"
    assert [prompt.name for prompt in text.prompts] == ["topics"]


def test_a_later_cycle_keeps_the_pillars_and_the_tone_of_the_first() -> None:
    kept = [
        {"name": "Beans", "weight": 0.7, "hashtag": "#Beans"},
        {"name": "Water", "weight": 0.3, "hashtag": "#Water"},
    ]
    text = FakeText()
    made = plan(text, brief(earlier={"content_pillars": kept, "tone_guidelines": "Calm."}))
    assert [vars(one) for one in made.pillars] == kept
    assert made.tone == "Calm."
    assert [prompt.name for prompt in text.prompts] == ["topics"]


def test_a_pillar_that_was_excluded_since_is_dropped_and_the_rest_shares_its_weight() -> None:
    kept = [
        {"name": "Beans", "weight": 0.5, "hashtag": "#Beans"},
        {"name": "Prices", "weight": 0.2, "hashtag": "#Prices"},
        {"name": "Water", "weight": 0.3, "hashtag": "#Water"},
    ]
    made = plan(
        FakeText(),
        brief(earlier={"content_pillars": kept, "tone_guidelines": "Calm."}),
        constraints={"excluded_topics": ["price"]},
    )
    assert [(one.name, one.weight) for one in made.pillars] == [("Beans", 0.63), ("Water", 0.37)]


def test_new_pillars_of_the_mission_replace_the_earlier_ones() -> None:
    kept = [{"name": "Beans", "weight": 1.0, "hashtag": "#Beans"}]
    made = plan(
        FakeText(),
        brief(earlier={"content_pillars": kept, "tone_guidelines": "Calm."}),
        pillars=["Water", "Beans"],
    )
    assert [(one.name, one.weight) for one in made.pillars] == [("Water", 0.5), ("Beans", 0.5)]
    assert made.tone == "Calm."


def test_a_pillar_that_can_have_no_posts_fails_the_mission_by_its_field() -> None:
    with pytest.raises(InvalidMission, match=r"^pillars: 'Our prices'.*excluded topic 'price'"):
        plan(FakeText(), pillars=["Our prices"], constraints={"excluded_topics": ["price"]})


NONSENSE = [
    {"pillars": [], "tone_guidelines": ""},
    {"pillars": [{"name": "...", "weight": 0}, {"name": "#", "weight": -4}], "tone_guidelines": "!!!"},
    {"pillars": [{"name": "a", "weight": 1}] * 9, "tone_guidelines": " "},
    {"pillars": [{"name": "Beans", "weight": 10**9}, {"name": "beans", "weight": 1}], "tone_guidelines": "x"},
    {"pillars": [{"name": "word " * 90, "weight": 5}] * 3, "tone_guidelines": "<b></b>"},
]


@pytest.mark.parametrize("answer", NONSENSE)
@pytest.mark.parametrize(
    "said",
    [
        {"topics": []},
        topics((0, "..."), (99, "!"), (-1, " ")),
        topics(*[(1, "The same one")] * 30),
        {"topics": [{"pillar": 1, "topic": "t" * 5000, "angle": "a" * 5000}]},
    ],
)
def test_nonsense_still_gives_a_valid_strategy(answer: dict[str, Any], said: dict[str, Any]) -> None:
    brand = BrandContext(account="acme", slug="b", name="B", topics=["grinders", "espresso"])
    made = plan(FakeText({"strategy": answer, "topics": said}), brief(brand))
    assert 2 <= len(made.pillars) <= 5
    assert len({one.name.casefold() for one in made.pillars}) == len(made.pillars)
    assert sum(Decimal(str(one.weight)) for one in made.pillars) == 1
    assert made.tone
    assert len(made.slots) == 14
    for one in made.slots:
        assert one.slot.choices["pillar"] in {pillar.name for pillar in made.pillars}
        assert 0 < len(one.topic) <= 80
        assert len(one.angle) <= 140


def test_when_nothing_is_left_to_talk_about_the_answer_is_refused() -> None:
    excluded_topics = ["launch", "known"]
    with pytest.raises(InvalidAnswer, match="no pillar"):
        plan(
            FakeText({"strategy": NONSENSE[0]}),
            objectives=["be known"],
            constraints={"excluded_topics": excluded_topics},
        )


def test_a_numbered_list_is_read_as_one() -> None:
    said = topics((1, "1. The art of brewing"), (1, "2. The Art of Brewing"), (1, "3) Water"))
    said["topics"][0]["angle"] = "1. The art of brewing"
    made = plan(FakeText({"topics": said}), pillars=["Guides"])
    assert {(one.topic, one.angle) for one in made.slots} == {
        ("The art of brewing", ""),
        ("Water", "from near"),
    }


def test_excluded_topics_are_never_in_the_calendar() -> None:
    said = topics(
        (1, "Election day"), (1, "API Design Patterns"), (2, "What elections teach us"), (2, "Roadmap"),
        (3, "Meet the team"), (3, "A look back"),
    )  # fmt: skip
    said["topics"][4]["angle"] = "who they vote for in the election"
    pillars = {**PILLARS, "pillars": [*PILLARS["pillars"], {"name": "Election News", "weight": 90}]}
    brand = BrandContext(account="acme", slug="b", name="B", topics=["election"])
    made = plan(
        FakeText({"strategy": pillars, "topics": said}),
        brief(brand, days=28),
        constraints={"excluded_topics": ["election"]},
        objectives=["win the election", "be known for good APIs"],
    )
    assert len(made.pillars) == 3
    for one in made.slots:
        told = " ".join([one.topic, one.angle, *one.slot.choices.values()])
        assert excluded(told, ["election"]) is None
    assert {one.topic for one in made.slots} >= {"API Design Patterns", "Roadmap", "A look back"}


def test_what_the_brand_never_says_is_no_topic_either() -> None:
    brand = BrandContext(account="acme", slug="b", name="B", banned_words=["hack"], competitors=["Globex"])
    said = topics((1, "Ten hacks"), (1, "Better than Globex"), (1, "Good design"))
    made = plan(FakeText({"topics": said}), brief(brand), pillars=["Guides"])
    assert {one.topic for one in made.slots} == {"Good design", "be known for good APIs"}


def test_a_pillars_slots_go_through_its_topics_in_turn() -> None:
    said = topics((1, "One"), (1, "Two"), (1, "Three"), (2, "Four"), (2, "Five"))
    made = plan(FakeText({"topics": said}), brief(days=14), pillars=["Guides", "Stories"])
    guides = [one.topic for one in made.slots if one.slot.choices["pillar"] == "Guides"]
    assert guides == (["One", "Two", "Three"] * 20)[: len(guides)]
    assert Counter(one.topic for one in made.slots if one.slot.choices["pillar"] == "Stories") == Counter(
        (["Four", "Five"] * 20)[: len(made.slots) - len(guides)]
    )


def test_topics_that_one_pillar_has_too_many_of_go_to_those_without() -> None:
    said = topics(*[(1, f"Topic number {number}") for number in range(1, 15)], (9, "Of no pillar"))
    made = plan(FakeText({"topics": said}), brief(days=14), pillars=["Guides", "Stories"])
    by_pillar: dict[str, set[str]] = {}
    for one in made.slots:
        by_pillar.setdefault(one.slot.choices["pillar"], set()).add(one.topic)
    assert len(by_pillar["Guides"]) == 8
    assert "Of no pillar" in by_pillar["Stories"]
    assert len(by_pillar["Stories"]) == 7


def test_what_was_learned_and_what_came_before_go_into_the_plan() -> None:
    text = FakeText()
    weights = {Platform.TWITTER: {"format": {"thread": 50.0, "post": 0.02}}}
    made = plan(
        text,
        brief(days=28, weights=weights, used=["An old topic"], proven=["A good topic"]),
        pillars=["Guides"],
        constraints={"excluded_topics": ["politics"]},
        sources=[{"title": "Our handbook"}],
        learning={"exploration_share": 0.02},
    )
    formats = Counter(
        one.slot.choices["format"] for one in made.slots if one.slot.platform is Platform.TWITTER
    )
    assert formats["thread"] > 5 * formats["post"]
    assert made.weights == weights
    [prompt] = text.prompts
    for told in ("An old topic", "A good topic", "politics", "Our handbook", "be known for good APIs"):
        assert told in prompt.user


def test_the_same_cycle_has_the_same_calendar_when_it_is_made_again() -> None:
    first, second = (plan(FakeText({"strategy": PILLARS})).slots for _ in range(2))
    assert first == second


def test_a_strategy_that_comes_late_has_no_slot_that_is_over() -> None:
    late = START + timedelta(days=3, hours=10)
    collected = tools(site=mission(pillars=["Guides"]), text=FakeText(), social=connected(late))
    made = asyncio.run(process(brief(), collected))
    assert 0 < len(made.slots) < 14
    assert all(one.slot.at > late for one in made.slots)


@pytest.mark.parametrize(
    ("wishes", "weights"),
    [
        ([40, 30, 30], [0.4, 0.3, 0.3]),
        ([1, 1, 1], [0.34, 0.33, 0.33]),
        ([5], [1.0]),
        ([0, 0], [0.5, 0.5]),
        ([10**9, 1], [0.99, 0.01]),
        ([-3, 1], [0.5, 0.5]),
    ],
)
def test_weights_are_hundredths(wishes: list[float], weights: list[float]) -> None:
    assert shares(wishes) == weights


def test_weights_always_sum_to_exactly_one() -> None:
    dice = random.Random(4)
    for _ in range(500):
        wishes = [
            dice.choice([0, 1, dice.random(), dice.randint(1, 10**6)]) for _ in range(dice.randint(1, 8))
        ]
        found = shares(wishes)
        assert sum(Decimal(str(one)) for one in found) == 1
        assert min(found) > 0


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("Thought Leadership", "#ThoughtLeadership"),
        ("know your beans", "#KnowYourBeans"),
        ("Q&A: API-first", "#QAAPIFirst"),
        ("Über uns", "#ÜberUns"),
        ("बगीचे की कहानी", "#बगीचेकीकहानी"),
        ("สวนในเมือง", "#สวนในเมือง"),
        ("庭の 四季", "#庭の四季"),
        ("2026", ""),
        ("!!!", ""),
    ],
)
def test_a_pillar_has_a_hashtag_of_its_own(text: str, tag: str) -> None:
    assert hashtag(text) == tag


def test_the_bounds_keep_the_answers_short() -> None:
    schema = Pillars.model_json_schema()
    assert (schema["properties"]["pillars"]["minItems"], schema["properties"]["pillars"]["maxItems"]) == (
        2,
        5,
    )
    assert schema["properties"]["tone_guidelines"]["maxLength"] == 300
    asked = topics_type(3, 8).model_json_schema()
    assert asked["properties"]["topics"]["maxItems"] == 24
    one = asked["$defs"]["ProposedTopic"]["properties"]
    assert (one["pillar"]["maximum"], one["topic"]["maxLength"], one["angle"]["maxLength"]) == (3, 80, 140)


@pytest.mark.parametrize("pillars", range(1, 9))
def test_no_answer_has_more_topics_than_a_small_model_can_hold(pillars: int) -> None:
    text = FakeText()
    made = plan(text, brief(days=56), pillars=[f"Pillar {letter}" for letter in "ABCDEFGH"[:pillars]])
    [prompt] = text.prompts
    assert prompt.max_tokens < 4000
    assert len({one.topic for one in made.slots}) <= 24
