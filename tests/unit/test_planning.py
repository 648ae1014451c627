"""The calendar's shape: counts, shares, caps, exploration, changes of the clock; exclusions; new times."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pendulum
import pytest

from pressroom.domain.errors import ConfigurationError, PastDate
from pressroom.domain.missions import Mission
from pressroom.domain.social import Platform
from pressroom.domain.strategy import WEEKDAYS, Slot, Weights
from pressroom.pipelines.mission.calendar.open_times import instant, replan
from pressroom.pipelines.mission.calendar.placing import largest_remainders
from pressroom.pipelines.mission.calendar.planning import plan_calendar, planned_count
from pressroom.pipelines.mission.calendar.plans import Plan, PlatformChoices, levels_of
from pressroom.pipelines.mission.writing.compliance import excluded

BERLIN = ZoneInfo("Europe/Berlin")
TWO = (Platform.TWITTER, Platform.LINKEDIN)
PILLARS = {"Guides": 0.5, "Stories": 0.3, "News": 0.2}
TIMES = ("08:00", "12:00", "17:00")
LEVELS = {
    "time": TIMES,
    "format": ("single", "thread"),
    "length": ("short", "long"),
    "hashtags": ("few", "many"),
    "visual": ("with", "without"),
}


def plan(days: int = 7, *, start: datetime | None = None, **changes: Any) -> Plan:
    begin = start or datetime(2027, 6, 7, tzinfo=BERLIN)
    values: dict[str, Any] = {
        "start": begin,
        "end": begin + timedelta(days=days),
        "timezone": "Europe/Berlin",
        "platforms": TWO,
        "posts_per_day": 4,
        "levels": dict.fromkeys(Platform, LEVELS),
        "pillar_weights": PILLARS,
        "exploration_share": 0.1,
        "earliest": begin,
    }
    return Plan(**{**values, **changes})


def leaning(seed: int) -> Weights:
    """Weights as a learner could have made them: strong, different on each platform."""
    dice = random.Random(seed)
    among = {**LEVELS, "weekday": WEEKDAYS, "pillar": tuple(PILLARS)}
    return {
        platform: {
            factor: {level: dice.choice((0.02, 0.3, 1.0, 3.0)) for level in levels}
            for factor, levels in among.items()
        }
        for platform in TWO
    }


def per_day(slots: list[Slot]) -> Counter[date]:
    return Counter(slot.day for slot in slots)


@pytest.mark.parametrize("seed", range(40))
def test_every_calendar_keeps_the_rules(seed: int) -> None:
    dice = random.Random(seed)
    cadence = dice.choice(("flexible", "daily", "weekdays"))
    asked = plan(
        dice.randint(1, 20),
        platforms=dice.sample(list(Platform), dice.randint(1, 4)),
        posts_per_day=dice.randint(1, 12),
        cadence=cadence,
        exploration_share=dice.choice((0.02, 0.1, 0.5)),
        start=datetime(2027, 3, dice.randint(8, 26), tzinfo=BERLIN),
    )
    weights = leaning(seed) if seed % 4 else {}
    days = [
        day
        for n in range(20)
        if (moment := asked.start.replace(hour=12) + timedelta(days=n)) < asked.end
        and ((day := moment.date()).weekday() < 5 or cadence != "weekdays")
    ]
    if not days:
        assert planned_count(asked) == 0
        return
    slots = plan_calendar(asked, weights, seed)
    number = asked.posts_per_day * len(days)

    assert len(slots) == planned_count(asked) == number
    assert [slot.at for slot in slots] == sorted(slot.at for slot in slots)
    assert len({(slot.platform, slot.at) for slot in slots}) == number
    shares = Counter(slot.platform for slot in slots)
    assert max(shares.values()) - min(shares[platform] for platform in asked.platforms) <= 1
    for slot in slots:
        assert asked.start <= slot.at < asked.end
        assert slot.at.tzinfo is UTC
        local = slot.at.astimezone(BERLIN)
        assert (slot.day, slot.time) == (local.date(), local.time())
        assert slot.choices["weekday"] == WEEKDAYS[slot.day.weekday()]
        assert set(slot.choices) == {"weekday", "pillar", *LEVELS}
        assert all(slot.choices[factor] in levels for factor, levels in LEVELS.items())
    counts = per_day(slots)
    if cadence == "flexible":
        assert max(counts.values()) <= 2 * asked.posts_per_day
        assert set(counts) == set(days) or max(counts.values()) == 1
    else:
        assert counts == dict.fromkeys(days, asked.posts_per_day)
    exploring = [slot for slot in slots if slot.explores]
    wanted = int(asked.exploration_share * number + 0.5)
    assert len(exploring) == max(wanted, 1 if number >= 5 else 0)
    assert slots == plan_calendar(asked, weights, seed)


def test_another_seed_gives_another_calendar() -> None:
    assert plan_calendar(plan(), {}, 1) != plan_calendar(plan(), {}, 2)


def test_weights_are_followed() -> None:
    weights: Weights = {
        Platform.TWITTER: {
            "weekday": {day: 3.0 if day == "tuesday" else 0.5 for day in WEEKDAYS},
            "time": {"08:00": 0.02, "12:00": 2.9, "17:00": 0.08},
            "format": {"single": 0.02, "thread": 1.98},
            "pillar": {"Guides": 0.05, "Stories": 0.05, "News": 2.9},
        }
    }
    slots = [
        slot for seed in range(20) for slot in plan_calendar(plan(exploration_share=0.02), weights, seed)
    ]
    own = [slot for slot in slots if slot.platform == Platform.TWITTER]
    others = [slot for slot in slots if slot.platform == Platform.LINKEDIN]

    def share(slots: list[Slot], factor: str, level: str) -> float:
        return sum(slot.choices[factor] == level for slot in slots) / len(slots)

    assert share(own, "weekday", "tuesday") > 1.4 * share(others, "weekday", "tuesday")
    assert share(own, "time", "08:00") < 0.2 < share(others, "time", "08:00")
    assert share(own, "format", "thread") > 0.9
    assert 0.4 < share(others, "format", "thread") < 0.6
    assert share(own, "pillar", "News") > 0.5
    # No pillar dies.
    assert share(own, "pillar", "Guides") > 0.05
    assert share(own, "pillar", "Stories") > 0.05


def test_pillars_get_their_quotas() -> None:
    slots = plan_calendar(plan(10, exploration_share=0.0), {}, 3)
    for platform in TWO:
        counts = Counter(slot.choices["pillar"] for slot in slots if slot.platform == platform)
        assert counts == {"Guides": 10, "Stories": 6, "News": 4}


@pytest.mark.parametrize("seed", range(30))
def test_largest_remainders_add_up_and_stay_within_one(seed: int) -> None:
    dice = random.Random(seed)
    shares = [dice.random() for _ in range(dice.randint(1, 8))]
    count = dice.randint(0, 40)
    numbers = largest_remainders(shares, count, np.random.default_rng(seed))
    assert sum(numbers) == count
    for number, share in zip(numbers, shares, strict=True):
        assert abs(number - count * share / sum(shares)) < 1


def test_exploring_slots_ignore_the_weights_of_the_one_factor_that_they_name() -> None:
    never = {"format": {"single": 2.0, "thread": 0.0}, "visual": {"with": 2.0, "without": 0.0}}
    weights: Weights = dict.fromkeys(TWO, never)
    slots = [s for seed in range(60) for s in plan_calendar(plan(exploration_share=0.3), weights, seed)]
    tried = Counter(slot.choices["format"] for slot in slots if slot.explores == "format")
    assert 0.35 < tried["thread"] / tried.total() < 0.65
    for slot in slots:
        if slot.explores != "format":
            assert slot.choices["format"] == "single"
        if slot.explores != "visual":
            assert slot.choices["visual"] == "with"
    explored = Counter(slot.explores for slot in slots if slot.explores)
    assert set(explored) == {"weekday", "pillar", *LEVELS}
    assert max(explored.values()) < 1.2 * min(explored.values())


@pytest.mark.parametrize("cadence", ["daily", "weekdays"])
def test_a_fixed_cadence_explores_no_weekday(cadence: str) -> None:
    slots = plan_calendar(plan(14, cadence=cadence, exploration_share=1.0), {}, 1)
    assert {slot.explores for slot in slots} == {"pillar", *LEVELS}


def test_no_exploration_when_there_is_nothing_to_choose() -> None:
    single = {"time": ("09:00",), "format": ("single",)}
    asked = plan(
        cadence="daily", posts_per_day=1, levels=dict.fromkeys(TWO, single), pillar_weights={"Guides": 1.0}
    )
    slots = plan_calendar(asked, {}, 1)
    assert len(slots) == 7
    assert {slot.explores for slot in slots} == {None}


def test_more_posts_than_times_follow_within_the_hour() -> None:
    asked = plan(2, platforms=TWO[:1], posts_per_day=50, cadence="daily")
    slots = plan_calendar(asked, {}, 1)
    assert len({slot.at for slot in slots}) == 100
    for slot in slots:
        usual = time.fromisoformat(slot.choices["time"])
        assert usual <= slot.time < usual.replace(minute=59, second=59)


def test_no_preference_is_worth_a_second_post_within_the_hour() -> None:
    days = {day: 7.0 if day == "monday" else 0.02 for day in WEEKDAYS}
    monday: Weights = {platform: {"weekday": days} for platform in TWO}
    slots = plan_calendar(plan(exploration_share=0.0), monday, 1)
    assert per_day(slots)[date(2027, 6, 7)] == 2 * len(TIMES)
    assert {f"{slot.time:%H:%M}" for slot in slots} <= set(TIMES)


@pytest.mark.parametrize(
    ("earliest", "number"),
    [
        (datetime(2027, 6, 7, 8, 0, tzinfo=BERLIN), 28),
        (datetime(2027, 6, 7, 8, 1, tzinfo=BERLIN), 27),  # 2/3 of the first day's four
        (datetime(2027, 6, 8, 0, 0, tzinfo=BERLIN), 24),
        (datetime(2027, 6, 13, 12, 0, tzinfo=BERLIN), 3),
        (datetime(2027, 6, 13, 17, 0, tzinfo=BERLIN), 1),
    ],
)
@pytest.mark.parametrize("cadence", ["flexible", "daily"])
def test_a_late_start_scales_the_count_to_the_time_left(
    earliest: datetime, number: int, cadence: str
) -> None:
    asked = plan(earliest=earliest, cadence=cadence)
    slots = plan_calendar(asked, {}, 1)
    assert len(slots) == planned_count(asked) == number
    assert min(slot.at for slot in slots) >= earliest


@pytest.mark.parametrize("hour", [0, 9, 15, 23])
def test_a_window_from_noon_to_noon_has_as_many_slots_as_one_of_whole_days(hour: int) -> None:
    asked = plan(start=datetime(2027, 6, 7, hour, 30, tzinfo=BERLIN))
    assert planned_count(asked) == 28
    assert len(plan_calendar(asked, {}, 1)) == 28


def test_no_room_is_an_error_that_says_why() -> None:
    late = plan(earliest=datetime(2027, 6, 13, 17, 1, tzinfo=BERLIN))
    assert planned_count(late) == 0
    with pytest.raises(PastDate, match="no posting time is left"):
        plan_calendar(late, {}, 1)
    weekend = plan(2, start=datetime(2027, 6, 12, tzinfo=BERLIN), cadence="weekdays")
    assert planned_count(weekend) == 0
    with pytest.raises(ConfigurationError, match="weekdays"):
        plan_calendar(weekend, {}, 1)


@pytest.mark.parametrize(
    ("zone", "day", "shown", "utc", "read"),
    [
        ("Europe/Berlin", date(2027, 3, 27), "02:30", "2027-03-27T01:30", "02:30"),
        ("Europe/Berlin", date(2027, 3, 28), "01:59", "2027-03-28T00:59", "01:59"),
        ("Europe/Berlin", date(2027, 3, 28), "02:00", "2027-03-28T01:00", "03:00"),
        ("Europe/Berlin", date(2027, 3, 28), "02:30", "2027-03-28T01:30", "03:30"),
        ("Europe/Berlin", date(2027, 3, 28), "03:30", "2027-03-28T01:30", "03:30"),
        ("Europe/Berlin", date(2027, 10, 31), "02:30", "2027-10-31T00:30", "02:30"),
        ("Europe/Berlin", date(2027, 10, 31), "03:00", "2027-10-31T02:00", "03:00"),
        ("America/New_York", date(2027, 3, 14), "02:15", "2027-03-14T07:15", "03:15"),
        ("America/New_York", date(2027, 11, 7), "01:15", "2027-11-07T05:15", "01:15"),
        ("Australia/Lord_Howe", date(2027, 10, 3), "02:10", "2027-10-02T15:40", "02:40"),
        ("Asia/Kolkata", date(2027, 3, 28), "02:30", "2027-03-27T21:00", "02:30"),
    ],
)
def test_local_times_through_changes_of_the_clock(
    zone: str, day: date, shown: str, utc: str, read: str
) -> None:
    moment = instant(day, time.fromisoformat(shown), pendulum.timezone(zone))
    assert moment == datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert f"{moment.astimezone(ZoneInfo(zone)):%H:%M}" == read


@pytest.mark.parametrize("day", [date(2027, 3, 28), date(2027, 10, 31)])
def test_slots_stay_distinct_when_the_clocks_change(day: date) -> None:
    start = datetime.combine(day, time(), tzinfo=BERLIN)
    night = {"time": ("01:30", "02:30", "03:30"), "format": ("single",)}
    asked = plan(
        start=start,
        end=datetime.combine(day + timedelta(days=1), time(), tzinfo=BERLIN),
        platforms=TWO[:1],
        posts_per_day=4,
        levels=dict.fromkeys(TWO, night),
        cadence="daily",
    )
    slots = plan_calendar(asked, {}, 1)
    assert len({slot.at for slot in slots}) == 4
    assert {slot.day for slot in slots} == {day}
    shown = {f"{slot.time:%H:%M}" for slot in slots}
    assert ("02:30" in shown) == (day.month == 10)


@pytest.mark.parametrize("start", [date(2027, 3, 22), date(2027, 10, 25)])
def test_a_week_with_a_change_of_the_clock_has_seven_days(start: date) -> None:
    asked = plan(
        start=datetime.combine(start, time(), tzinfo=BERLIN),
        end=datetime.combine(start + timedelta(days=7), time(), tzinfo=BERLIN),
        cadence="daily",
    )
    slots = plan_calendar(asked, {}, 1)
    assert per_day(slots) == {start + timedelta(days=n): 4 for n in range(7)}
    assert {f"{slot.time:%H:%M}" for slot in slots} == set(TIMES)


def mission(**constraints: Any) -> Mission:
    return Mission.model_validate(
        {
            "account": "a",
            "slug": "m",
            "name": "M",
            "objectives": ["Sell"],
            "platforms": ["twitter", "instagram"],
            "constraints": constraints,
        }
    )


def usual(platform: Platform) -> PlatformChoices:
    if platform == Platform.INSTAGRAM:
        return PlatformChoices(("11:00",), ("single",), visual=("with",))
    return PlatformChoices(("09:00", "15:00"), ("single", "thread"))


def test_levels_come_from_the_platform_and_the_mission() -> None:
    levels = levels_of(mission(), ["Guides"], usual)
    assert levels[Platform.TWITTER]["time"] == ("09:00", "15:00")
    assert levels[Platform.INSTAGRAM] == {
        "weekday": WEEKDAYS,
        "time": ("11:00",),
        "format": ("single",),
        "pillar": ("Guides",),
        "length": ("short", "long"),
        "hashtags": ("few", "many"),
        "visual": ("with",),
    }
    own = levels_of(mission(posting_times=["14:00", "07:30"], cadence="weekdays"), ["Guides"], usual)
    assert own[Platform.INSTAGRAM]["time"] == ("07:30", "14:00")
    assert own[Platform.INSTAGRAM]["weekday"] == WEEKDAYS[:5]


def berlin(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2027, 6, day, hour, minute, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("now", "taken", "found"),
    [
        (berlin(7, 9), [], berlin(7, 12)),
        (berlin(7, 11, 50), [], berlin(7, 12)),
        (berlin(7, 11, 51), [], berlin(7, 17)),
        (berlin(7, 9), [berlin(7, 12)], berlin(7, 17)),
        (berlin(7, 9), [berlin(7, 12), berlin(7, 17)], berlin(8, 8)),
        (berlin(7, 18), [], berlin(8, 8)),
        (berlin(8, 12), [], berlin(8, 17)),
        (berlin(8, 17), [], None),
        (berlin(9, 9), [], None),
    ],
)
def test_a_post_that_is_late_gets_the_next_free_time(
    now: datetime, taken: list[datetime], found: datetime | None
) -> None:
    at = berlin(7, 8)
    end = berlin(9, 0)
    assert replan(at, now, taken, timezone="Europe/Berlin", times=TIMES, end=end) == found


def test_a_late_post_waits_for_monday_when_weekends_are_off() -> None:
    found = replan(
        berlin(11, 17), berlin(11, 18), [], timezone="Europe/Berlin", times=TIMES, end=berlin(21, 0),
        working_days=True,
    )  # fmt: skip
    assert found == berlin(14, 8)


@pytest.mark.parametrize(
    ("text", "topics", "found"),
    [
        ("Our views on Politics!", ["politics"], "politics"),
        ("A political matter", ["politics"], None),
        ("The party begins", ["art"], None),
        ("Art for all", ["art"], "art"),
        ("Gun-control laws", ["Gun control"], "Gun control"),
        ("Read this #GunControl", ["gun control"], "gun control"),
        ("Read this #gun_control", ["gun control"], "gun control"),
        ("control the gun", ["gun control"], None),
        ("The lotteries of life", ["lottery"], "lottery"),
        ("One lottery", ["Lotteries"], "Lotteries"),
        ("All taxes", ["tax"], "tax"),
        ("Two churches", ["church"], "church"),
        ("Cats and dogs", ["bird", "dog", "cat"], "dog"),
        ("A glass of gas", ["glas", "ga"], None),
        ("Made for iOS", ["iO"], None),
        ("Über die Ärzte", ["über"], "über"),
        ("関連政治問題", ["政治"], "政治"),
        ("Say 🍺 now", ["🍺"], "🍺"),
        ("Anything", ["", "  "], None),
        ("", ["x"], None),
        ("Anything", [], None),
    ],
)
def test_excluded_topics_are_found_as_words(text: str, topics: list[str], found: str | None) -> None:
    assert excluded(text, topics) == found


def test_a_platform_without_times_leaves_its_slots_to_the_others() -> None:
    asked = plan(
        1,
        earliest=berlin(7, 18),
        levels={Platform.TWITTER: LEVELS, Platform.LINKEDIN: {**LEVELS, "time": ("19:00", "20:00")}},
    )
    slots = plan_calendar(asked, {}, 1)
    assert [slot.platform for slot in slots] == [Platform.LINKEDIN] * 2


def test_the_plan_is_not_touched() -> None:
    asked = plan()
    before = replace(asked)
    plan_calendar(asked, leaning(1), 1)
    assert asked == before
