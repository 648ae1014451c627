"""The optimize stage and the strategy parameters on a real Postgres, and what a run is expected to cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pressroom.domain.errors import AlreadyDone, PermanentError, RunConflict
from pressroom.domain.missions import Constraints, Kpi, Learning
from pressroom.domain.run import Run
from pressroom.domain.social import Platform
from pressroom.domain.strategy import WEEKDAYS, Finding, Learned, Weights
from pressroom.pipelines.mission import optimize
from pressroom.pipelines.mission.cycle import estimate_run
from pressroom.pipelines.mission.learning import changes as parameters
from pressroom.pipelines.mission.optimize import Lesson
from pressroom.pipelines.stage import Skip
from pressroom.store.database import Store
from tests.support.results_world import DAY, HOUR, START, ResultsWorld, make_results_world

TWITTER, LINKEDIN = Platform.TWITTER, Platform.LINKEDIN
CLOSES = START + 7 * DAY


@pytest.fixture
def world(database_url: str, store: Store) -> ResultsWorld:
    return make_results_world(database_url, store)


def measured(world: ResultsWorld, number: int = 1) -> Run:
    """A run whose cycle is measured, and waits to be optimized."""
    run = world.cycle(number, START + (number - 1) * 7 * DAY)
    world.sql("UPDATE cycles SET measured_at = closes_at WHERE run_id = %s", run.id)
    return run


def pending(world: ResultsWorld, run: Run) -> Any:
    with world.store.transaction(world.account_id) as tx:
        return optimize.pending(tx, run)


def load(world: ResultsWorld, run: Run) -> Lesson:
    with world.store.transaction(world.account_id) as tx:
        [lesson] = optimize.load(tx, run, [world.cycle_id(run)])
    return lesson


def save(world: ResultsWorld, run: Run, learned: Learned) -> int:
    """Save what was learned as the run's cycle would. Returns the number of changes."""
    lesson = load(world, run)
    with world.store.transaction(world.account_id) as tx:
        return optimize.save(tx, run, lesson, learned).created


def in_force(world: ResultsWorld) -> Weights:
    with world.store.transaction(world.account_id) as tx:
        return parameters.weights_in_force(tx, world.mission_id)


def output(world: ResultsWorld, run: Run) -> dict[str, Any]:
    with world.store.transaction(world.account_id) as tx:
        found = optimize.output(tx, run)
    assert found is not None
    return dict(found)


def changes(world: ResultsWorld) -> list[parameters.StrategyChange]:
    with world.store.transaction(world.account_id) as tx:
        return parameters.changes(tx, world.mission_id)


TUESDAY = Finding(TWITTER, "weekday", "tuesday", 2.3, 1.4, 3.6, 12, 60, 0.13)
THREADS = Finding(TWITTER, "format", "thread", 1.4, 1.1, 1.8, 30, 42, 0.09)


def taught(**weights: dict[str, float]) -> Learned:
    """What a cycle teaches about twitter: factor=weights."""
    return Learned(
        weights={TWITTER: weights},
        findings=[TUESDAY, THREADS],
        compared=24,
        method="a named test",
        too_little={LINKEDIN: "3 mature posts, 20 are needed"},
        improvement={TWITTER: 1.12},
    )


DAYS = {"monday": 0.8, "tuesday": 1.5}


def test_it_waits_for_the_measuring(world: ResultsWorld) -> None:
    run = world.cycle()
    assert isinstance(pending(world, run), Skip)
    world.sql("UPDATE cycles SET measured_at = now()")
    assert pending(world, run) == [world.cycle_id(run)]
    save(world, run, Learned({}))
    assert pending(world, run) == []


def test_all_mature_posts_of_the_mission_are_observed(world: ResultsWorld) -> None:
    first = world.cycle()
    old = world.post(first, format="thread", topic="green tea")
    young = world.post(first, CLOSES - 2 * HOUR)
    second = measured(world, 2)
    own = world.post(second, CLOSES + HOUR, platform="linkedin")
    world.post(second, CLOSES + 2 * HOUR)  # never measured
    # Its first reading at an age of a day counts, not what it gained until a week later.
    world.metrics(old, START + HOUR, engagements=1, age=3 * HOUR)
    world.metrics(old, START + HOUR, engagements=20, age=DAY)
    world.metrics(old, START + HOUR, engagements=90, age=6 * DAY)
    world.metrics(young, CLOSES - 2 * HOUR, age=2 * HOUR)
    world.metrics(own, CLOSES + HOUR, engagements=7, age=30 * HOUR)

    lesson = load(world, second)

    assert [(one.post, one.platform, one.engagements) for one in lesson.observations] == [
        (old, TWITTER, 20),
        (own, LINKEDIN, 7),
    ]
    assert lesson.observations[0].choices == {
        "weekday": "monday",
        "time": "10:00",
        "format": "thread",
        "topic": "green tea",
    }
    assert lesson.levels[TWITTER]["format"] == ("single", "thread")
    assert lesson.levels[LINKEDIN]["topic"] == ("tea",)
    assert lesson.levels[LINKEDIN]["weekday"] == WEEKDAYS


@pytest.mark.parametrize(
    ("kpis", "metric"),
    [
        ([], "engagements"),
        (["link_clicks", "impressions"], "link_clicks"),
        (["engagement_rate"], "engagement_rate"),
    ],
)
def test_the_first_kpi_is_what_shall_get_better(world: ResultsWorld, kpis: list[str], metric: str) -> None:
    goals = [Kpi.model_validate({"metric": kpi, "target": 5}) for kpi in kpis]
    run = replace(measured(world), workflow=world.mission.model_copy(update={"kpis": goals}))
    assert load(world, run).metric == metric


def test_what_is_stored_and_shown(world: ResultsWorld) -> None:
    run = measured(world)
    world.metrics(world.post(run), START + HOUR)
    assert save(world, run, taught(weekday=DAYS, format={"single": 1.02})) == 1

    assert in_force(world) == {TWITTER: {"weekday": DAYS}}
    [change] = changes(world)
    assert (change.cycle, change.factor, change.in_force, change.reverted) == (1, "weekday", True, False)
    assert change.before == {"monday": 1.0, "tuesday": 1.0}
    assert change.evidence["posts"] == 1
    assert change.evidence["method"] == "a named test"
    assert [one["level"] for one in change.evidence["findings"]] == ["tuesday"]
    with world.store.transaction(world.account_id) as tx:
        found = parameters.insights(tx, world.mission_id)
    assert [(one.type, one.level, one.confidence, one.action, one.cycle) for one in found] == [
        ("content", "thread", 0.91, "increase_thread", 1),
        ("timing", "tuesday", 0.87, "shift_schedule", 1),
    ]
    assert found[1].evidence["others"] == 60
    assert "2.3" in found[1].finding

    shown = output(world, run)
    assert [(one["type"], one["confidence"], one["action"]) for one in shown["insights"]] == [
        ("timing", 0.87, "shift_schedule"),
        ("content", 0.91, "increase_thread"),
    ]
    assert all(one["finding"] for one in shown["insights"])
    assert shown["strategy_updates"] == {
        "timing_adjustments": {"twitter.monday_weight": 0.8, "twitter.tuesday_weight": 1.5},
        "content_adjustments": {},
        "pillar_weights": {},
    }
    assert shown["predicted_improvement"] == {"engagements": "+12%"}
    assert shown["too_little_data"] == {"linkedin": "3 mature posts, 20 are needed"}
    assert len(shown["recommendations"]) == 3
    assert shown["changes"] == [
        {
            "id": change.id,
            "platform": "twitter",
            "factor": "weekday",
            "before": {"monday": 1.0, "tuesday": 1.0},
            "after": DAYS,
            "in_force": True,
            "reverted": False,
            "reverted_by": None,
        }
    ]


def test_the_next_cycle_goes_on_from_what_is_in_force(world: ResultsWorld) -> None:
    save(world, measured(world), taught(weekday=DAYS, format={"thread": 1.3}))
    second = measured(world, 2)
    assert load(world, second).previous == {TWITTER: {"weekday": DAYS, "format": {"thread": 1.3}}}
    assert save(world, second, taught(weekday={"monday": 0.8, "tuesday": 1.9}, format={"thread": 1.3})) == 1
    assert in_force(world) == {
        TWITTER: {"weekday": {"monday": 0.8, "tuesday": 1.9}, "format": {"thread": 1.3}}
    }
    latest = changes(world)[0]
    assert (latest.cycle, latest.before) == (2, DAYS)
    assert [change.in_force for change in changes(world)] == [True, True, False]


def test_reverting_restores_the_weights_before_and_is_refused_twice(world: ResultsWorld) -> None:
    first = measured(world)
    save(world, first, taught(weekday=DAYS))
    second = measured(world, 2)
    save(world, second, taught(weekday={"monday": 0.5, "tuesday": 2.0}))
    newest, oldest = (change.id for change in changes(world))

    with world.store.transaction(world.account_id) as tx:
        reverted = parameters.revert(tx, world.mission_id, newest, "anna")
    assert (reverted.reverted, reverted.reverted_by, reverted.in_force) == (True, "anna", False)
    assert in_force(world) == {TWITTER: {"weekday": DAYS}}
    assert [(one["reverted"], one["reverted_by"]) for one in output(world, second)["changes"]] == [
        (True, "anna")
    ]
    assert output(world, first)["changes"][0]["in_force"]

    with pytest.raises(RunConflict, match="anna"), world.store.transaction(world.account_id) as tx:
        parameters.revert(tx, world.mission_id, newest, "bert")
    assert changes(world)[0].reverted_by == "anna"

    with world.store.transaction(world.account_id) as tx:
        parameters.revert(tx, world.mission_id, oldest, "anna")
    assert in_force(world) == {}


def test_reverting_an_older_change_leaves_the_later_one_in_force(world: ResultsWorld) -> None:
    save(world, measured(world), taught(weekday=DAYS))
    save(world, measured(world, 2), taught(weekday={"monday": 0.5, "tuesday": 2.0}))
    with world.store.transaction(world.account_id) as tx:
        parameters.revert(tx, world.mission_id, changes(world)[1].id, "anna")
    assert in_force(world) == {TWITTER: {"weekday": {"monday": 0.5, "tuesday": 2.0}}}


def test_only_the_missions_own_changes_can_be_reverted(world: ResultsWorld) -> None:
    save(world, measured(world), taught(weekday=DAYS))
    [change] = changes(world)
    for mission, number in [(world.mission_id, change.id + 1), (world.mission_id + 1, change.id)]:
        with pytest.raises(PermanentError), world.store.transaction(world.account_id) as tx:
            parameters.revert(tx, mission, number, "anna")
    assert not changes(world)[0].reverted


def test_with_learning_off_there_are_insights_and_no_changes(world: ResultsWorld) -> None:
    off = world.mission.model_copy(update={"learning": Learning(enabled=False)})
    run = replace(measured(world), workflow=off)
    assert save(world, run, taught(weekday=DAYS)) == 0
    assert in_force(world) == {}
    shown = output(world, run)
    assert len(shown["insights"]) == 2
    assert (shown["changes"], shown["predicted_improvement"]) == ([], {})
    assert "switched off" in shown["recommendations"][-1]


def test_a_cycle_is_optimized_once(world: ResultsWorld) -> None:
    run = measured(world)
    lesson = load(world, run)
    save(world, run, taught(weekday=DAYS))
    with pytest.raises(AlreadyDone), world.store.transaction(world.account_id) as tx:
        optimize.save(tx, run, lesson, taught(weekday=DAYS))
    with world.store.transaction(world.account_id) as tx:
        assert optimize.load(tx, run, [world.cycle_id(run)]) == []
    assert len(changes(world)) == 1


async def test_too_little_data_changes_nothing_and_says_so(world: ResultsWorld) -> None:
    save(world, measured(world), taught(weekday=DAYS))
    run = measured(world, 2)
    for n in range(5):
        world.metrics(world.post(run, CLOSES + n * HOUR, format="thread"), CLOSES + n * HOUR)
    learned = await optimize.process(load(world, run), world.tools())
    assert save(world, run, learned) == 0
    assert in_force(world) == {TWITTER: {"weekday": DAYS}}
    shown = output(world, run)
    assert shown["insights"] == []
    assert shown["predicted_improvement"] == {}
    assert shown["too_little_data"]["twitter"]
    assert any("twitter" in sentence for sentence in shown["recommendations"])


async def test_what_clearly_does_better_is_found_and_preferred(world: ResultsWorld) -> None:
    run = measured(world)
    for n in range(80):
        at = START + timedelta(hours=2 * n)
        thread = n % 2 == 0
        post = world.post(run, at, format="thread" if thread else "single", time="10:00")
        world.metrics(post, at, engagements=(120 if thread else 30) + n % 7)
    learned = await optimize.process(load(world, run), world.tools())
    assert save(world, run, learned) >= 1
    weights = in_force(world)[TWITTER]["format"]
    assert weights["thread"] > weights["single"]
    shown = output(world, run)
    assert {one["factor"] for one in shown["insights"]} == {"format"}
    assert shown["predicted_improvement"]["engagements"].startswith("+")
    assert shown["method"]


@pytest.mark.parametrize(
    ("cadence", "days", "moves"), [("flexible", 7, True), ("daily", 7, False), ("weekdays", 5, False)]
)
async def test_a_day_that_is_no_choice_gets_no_weight(
    world: ResultsWorld, cadence: str, days: int, *, moves: bool
) -> None:
    constraints = Constraints.model_validate({"cadence": cadence, "posting_times": ["08:00", "10:00"]})
    world.mission = world.mission.model_copy(update={"constraints": constraints})
    run = measured(world)
    for n in range(60):
        at = START + n * HOUR
        topic, weekday = f"tea {n % 3}", "tuesday" if n % 4 == 0 else "monday"
        post = world.post(run, at, time="10:00", topic=topic, weekday=weekday)
        world.metrics(post, at, engagements=(200 if weekday == "tuesday" else 30) + n % 5)
    lesson = load(world, run)
    assert lesson.levels[TWITTER]["weekday"] == WEEKDAYS[:days]
    assert lesson.levels[TWITTER]["time"] == ("08:00", "10:00")
    save(world, run, await optimize.process(lesson, world.tools()))
    weights = in_force(world).get(TWITTER, {})
    assert "topic" not in weights
    assert ("weekday" in weights) is moves
    assert any(one["level"] == "tuesday" for one in output(world, run)["insights"])


async def test_undo_leaves_no_trace_and_does_nothing_the_second_time(world: ResultsWorld) -> None:
    save(world, measured(world), taught(format={"thread": 1.3}))
    run = measured(world, 2)
    save(world, run, taught(weekday=DAYS, format={"thread": 1.8}))
    done = await optimize.undo(world.store, run, world.tools())
    assert done.undone == 4  # two insights, two changes
    assert in_force(world) == {TWITTER: {"format": {"thread": 1.3}}}
    assert world.sql("SELECT count(*) FROM insights") == [(2,)]
    assert pending(world, run) == [world.cycle_id(run)]
    with world.store.transaction(world.account_id) as tx:
        assert optimize.output(tx, run) is None
    assert (await optimize.undo(world.store, run, world.tools())).undone == 0
    assert save(world, run, taught(weekday=DAYS)) == 2


def test_proven_topics_come_best_first(world: ResultsWorld) -> None:
    run = world.cycle()
    rows = [
        ("green tea", "twitter", 50, DAY),
        ("green tea", "twitter", 70, DAY),
        ("iced tea", "twitter", 20, DAY),
        # Ten times as many look at this platform, at every topic alike.
        ("black tea", "linkedin", 500, DAY),
        ("white tea", "linkedin", 500, DAY),
        ("too young", "twitter", 900, 5 * HOUR),
    ]
    for n, (topic, platform, engagements, age) in enumerate(rows):
        at = START + n * HOUR
        post = world.post(run, at, topic=topic, platform=platform)
        world.metrics(post, at, engagements=engagements, age=age)
    with world.store.transaction(world.account_id) as tx:
        assert parameters.proven_topics(tx, world.mission_id, 9) == [
            "green tea",
            "black tea",
            "white tea",
            "iced tea",
        ]
        assert parameters.proven_topics(tx, world.mission_id, 1) == ["green tea"]


def credits_of(world: ResultsWorld, run: Run) -> tuple[int, int]:
    """(credits for the strategy, posts still to write)."""
    with world.store.transaction(world.account_id) as tx:
        made = estimate_run(tx, run)
    return int(made.credits["strategy"]), made.items["content"]


def test_a_run_costs_what_is_left_of_its_cycle(world: ResultsWorld) -> None:
    run = world.run(9)
    assert credits_of(world, run) == (2, 14)
    run = world.cycle(1, days=3)
    world.sql("UPDATE cycles SET strategy = NULL")
    assert credits_of(world, run) == (2, 6)
    world.sql("UPDATE cycles SET strategy = '{}'")
    for n in range(3):
        world.post(run, START + n * HOUR)
    world.sql("UPDATE slots SET status = 'planned' WHERE id <> (SELECT min(id) FROM slots)")
    assert credits_of(world, run) == (0, 2)


def test_the_last_cycle_is_shorter(world: ResultsWorld) -> None:
    world.cycle(1, START, days=25)
    assert credits_of(world, world.run(2)) == (2, 6)
    weekdays = world.mission.model_copy(update={"constraints": Constraints(cadence="weekdays")})
    # The 28 days end on a Monday morning: Friday is left, and a weekend.
    assert credits_of(world, replace(world.run(3), workflow=weekdays)) == (2, 2)
    world.sql("UPDATE cycles SET ends_at = starts_at + interval '28 days'")
    assert credits_of(world, world.run(4)) == (2, 0)
