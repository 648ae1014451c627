"""A mission's report: what it shows, what it says when there is little to show, and that nothing escapes."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from pressroom.domain.definitions import BrandContext
from pressroom.domain.errors import PermanentError, TransientError
from pressroom.domain.run import Run
from pressroom.store.database import Store
from pressroom.testing import PIXEL
from pressroom.ui.mission.page import write_mission_page
from tests.support.mission_world import START, make_mission
from tests.support.report_world import Outline, Report, visible

EVIL = "<script>alert(1)</script>\"'&"


@pytest.fixture
def report(store: Store, database_url: str, tmp_path: Path) -> Report:
    world = make_mission(
        database_url, store, description="What for", objectives=["Be known", "Win readers"],
        constraints={"timezone": "Europe/Berlin", "budget_cents": "500"},
        kpis=[{"metric": "engagement_rate", "target": "4.5"}],
    )  # fmt: skip
    return Report(world, tmp_path / "report")


def two_cycles(report: Report) -> tuple[Run, int, int, list[int]]:
    """The first cycle measured and optimized, the second planned; a post each at 9 and 18 in the first."""
    run = report.world.run("manual__1")
    first = report.cycle(run, strategy={"content_pillars": [{"name": "Brewing", "weight": 0.6}]})
    times = [START + timedelta(hours=8), START + timedelta(hours=17)]
    posts = [report.post(first, report.slot(first, at), status="published") for at in times]
    for post, at in zip(posts, times, strict=True):
        report.publication(
            run, post, "confirmed", at, external_id=f"ext-{post}", public_url="https://x.example/1"
        )
    report.metrics(posts[0], times[0], 1, 10, 9)
    report.metrics(posts[0], times[0], 24, 1000, 30)
    report.metrics(posts[1], times[1], 24, 1000, 50)
    report.optimized(first, predicted_improvement={"engagements": "+9%"}, too_little_data={})
    report.world.close(run)
    later = report.world.run("manual__2")
    second = report.cycle(later, 2)
    for hour in (15, 16, 17, 18):
        level = "18:00" if hour > 15 else "09:00"
        report.slot(second, START + timedelta(days=7, hours=hour), choices={"time": level}, status="planned")
    return run, first, second, posts


def test_a_mission_that_never_ran_says_so(report: Report) -> None:
    text = visible(report.write(simulated=False))
    assert "No cycle has begun yet." in text
    assert "28 days from the first run on" in text
    assert "0 cents of 500 cents (0 %)" in text
    assert "engagement rate not measured yet – 4.5 %" in text
    assert "Simulated" not in text
    assert "Rolled back" not in text


def test_the_head_has_objectives_status_window_and_money(report: Report) -> None:
    report.world.sql(
        "INSERT INTO ledger (account_id, workflow_id, kind, cents, entry_key)"
        " VALUES (%s, %s, 'cost', 125.5, 'x')",
        report.world.account_id, report.world.mission_id,
    )  # fmt: skip
    two_cycles(report)
    text = visible(report.write())
    assert "Be known" in text
    assert "twitter, linkedin" in text
    assert "Status active" in text
    assert "125.50 cents of 500 cents (25 %)" in text
    assert "2–30 Mar 2026; times in Europe/Berlin" in text
    report.world.sql("UPDATE missions SET completed_at = now(), completed_why = 'its budget is used up'")
    assert "completed : its budget is used up" in visible(report.write())


def test_the_head_says_why_the_last_run_failed(report: Report) -> None:
    two_cycles(report)
    assert "Last run" not in visible(report.write())
    report.world.sql(
        "UPDATE runs SET status = 'failed', error_message = 'intake: no <b>account</b> is connected'"
        " WHERE id = (SELECT max(id) FROM runs)"
    )
    assert "Last run failed : intake: no &lt;b&gt;account&lt;/b&gt; is connected" in visible(report.write())


def test_the_simulator_and_the_bundled_model_are_named_on_every_page(report: Report) -> None:
    *_, posts = two_cycles(report)
    report.world.sql("UPDATE posts SET model = 'SmolLM2-135M-Instruct.Q4_1' WHERE id = %s", posts[0])
    for page in (report.write(), report.page(posts[0])):
        assert "posted to a simulator" in page
        assert "only shows that the machinery works" in page
    assert "only shows that the machinery works" not in report.page(posts[1])
    assert "x.example" not in "".join(Outline(report.page(posts[0])).links)
    assert "https://x.example/1" in visible(report.page(posts[0]))
    assert "simulator" not in visible(report.write(simulated=False))
    assert "https://x.example/1" in Outline(report.page(posts[0])).links


def test_results_are_those_of_the_last_reading_of_each_post(report: Report) -> None:
    _, first, second, _ = two_cycles(report)
    standing = {"metric": "engagement_rate", "target": 4.5, "current": 3.99, "status": "at_risk", "due": 4.5}
    report.snapshot(second, 8, kpi_status=[{**standing, "current": 1.0, "status": "behind"}])
    report.snapshot(second, 9, kpi_status=[standing])
    report.snapshot(first, 20, kpi_status=[{**standing, "current": 2.0}])
    page = report.write()
    text = visible(page)
    assert "Cycle 1 4.00 % 80 40.0 2 2,000 6 2" in text
    assert "Cycle 2 (so far) – 0 – 0 0 0 0" in text
    assert "engagement rate at risk 3.99 % 4.5 % 4.5 % all" in text
    assert text.index("Cycle 2 (so far)") < text.index("Cycle 1 4.00 %")
    assert page.count('role="img" aria-labelledby=') == 2
    assert page.count("<circle") == 1


def test_a_change_stands_beside_its_evidence_and_what_the_next_calendar_did(report: Report) -> None:
    _, first, _, _ = two_cycles(report)
    report.change(first, {"09:00": 1, "18:00": 1}, {"09:00": 0.5, "18:00": 2.0})
    report.insight(first)
    report.insight(first, factor="topic", level="Tea", finding="Tea does better", type="content")
    page = report.write()
    text = visible(page)
    assert "twitter: time in force" in text
    assert "09:00 1.00 → 0.50 0 % → 25 %" in text
    assert "18:00 1.00 → 2.00 0 % → 75 %" in text
    assert "08:00 1.00 → 1.00 50 % → 0 %" in text
    assert (
        "Evenings do better Confidence 99.9 %; 95 % interval 1.2 to 2 times; action: shift schedule" in text
    )
    assert "Posts it rests on 28 Comparisons made 4 Method OLS sigma of noise 0.5, 0.25" in text
    assert "Expected of the new weights: engagements +9%" in text
    assert "no weight moved by it Tea does better" in text
    assert 'style="width:25.0%"></i><b style="left:50.0%">' in page
    report.world.sql("UPDATE strategy_changes SET reverted_at = now(), reverted_by = 'mara'")
    assert re.search(r"twitter: time reverted by mara, \w+ \d+", visible(report.write()))


def test_too_little_data_no_findings_and_no_results_yet_are_three_things(report: Report) -> None:
    two_cycles(report)
    text = visible(report.write())
    assert "After cycle 1 No choice did better or worse than chance explains" in text
    assert "After cycle 2 This cycle has no calendar yet." in text
    why = {"twitter": "2 mature posts, and it takes 20"}
    report.world.sql("UPDATE optimizations SET output = %s", json.dumps({"too_little_data": why}))
    report.world.sql("UPDATE cycles SET strategy = '{}'")
    text = visible(report.write())
    assert "Too little data on twitter: 2 mature posts, and it takes 20. Nothing was changed there" in text
    assert "than chance explains" not in text
    assert "Its posts are measured until 16 Mar 2026, 01:00" in text


def test_the_calendar_has_every_slot_at_its_local_time_and_how_it_stands(report: Report) -> None:
    run, first, second, posts = two_cycles(report)
    report.snapshot(first, 8, kpi_status=[], top_performers=[f"cnt_{posts[1]}"], underperformers=[])
    slots = [report.slot(second, START + timedelta(days=8, hours=hour), f"T{hour}") for hour in range(7)]
    stands = {
        "planned": "approved", "attempting": "being sent", "accepted": "scheduled", "confirmed": "published",
        "failed": "failed", "unknown": "unknown", "withdrawn": "taken back",
    }  # fmt: skip
    for slot, status in zip(slots, stands, strict=True):
        post = report.post(second, slot, status="approved")
        report.publication(
            run, post, status, START, external_id=f"e{post}", error="429" * (status == "failed")
        )
    report.slot(second, START + timedelta(days=9), "Waiting", status="planned", explores="time")
    report.slot(second, START + timedelta(days=9), "Gone", status="withdrawn")
    archived = report.post(second, slots[0], status="archived")
    page = report.write()
    text = visible(page)
    assert "Cycle 1 · 2–9 Mar 2026" in text
    assert "Mon 2 Mar 09:00 twitter Tea single · Brewing 30 engagements, 1,000 seen (3.0 %) published" in text
    assert "50 engagements, 1,000 seen (5.0 %) published ★ top performer" in text
    for hour, label in enumerate(stands.values()):
        assert f"{hour + 1:02}:00 twitter T{hour} single · Brewing {label}" in text
    assert "Waiting single · Brewing not written yet ◇ exploring time" in text
    assert "Gone" not in text
    assert text.index("Cycle 2 ·") < text.index("Cycle 1 ·")
    assert not (report.folder / f"post-{archived}.html").exists()
    linked = {link for link in Outline(page).links if not link.startswith("#")}
    assert linked == {path.name for path in report.folder.glob("post-*.html")}
    assert len(linked) == 9


def test_a_slot_that_could_not_be_written_says_why(report: Report) -> None:
    run = report.world.run()
    slot = report.slot(report.cycle(run), START, "Hard one", status="planned")
    report.world.sql(
        "INSERT INTO item_failures (account_id, workflow_id, stage, item, error_class, error, run_id)"
        " VALUES (%s, %s, 'content', %s, 'PermanentError', 'no words left', %s)",
        report.world.account_id, report.world.mission_id, str(slot), run.id,
    )  # fmt: skip
    assert "Hard one single · Brewing failed no words left" in visible(report.write())


def test_a_post_has_its_page_with_parts_picture_review_and_publication(
    report: Report, tmp_path: Path
) -> None:
    picture = tmp_path / "media" / "abc.png"
    picture.parent.mkdir()
    picture.write_bytes(PIXEL)
    run = report.world.run()
    cycle = report.cycle(run)
    slot = report.slot(cycle, START + timedelta(hours=8))
    media = {"media_url": picture.as_uri(), "media_type": "image/png", "media_alt": "A cup"}
    post = report.post(
        cycle, slot, parts=["One\n\ntwo", "Three"], hashtags=["#tea"], mentions=["@bean"], cta="Read on",
        review_note="mind the tone", approved_by="mara", approved_hash="old", **media,
        adaptations=json.dumps({"linkedin": ["Said at length"]}),
    )  # fmt: skip
    gone = {**media, "media_url": "file:///nowhere/gone.png"}
    other = report.post(cycle, slot, variant="B", status="rejected", **gone)
    report.publication(run, post, "accepted", START, external_id="mc_77", error="429 at first")
    assert "Tea (version B) rejected" in visible(report.write())
    page = report.page(post)
    text = visible(page)
    for told in (
        "1 / 2 One two 2 / 2 Three", "Hashtags #tea Mentions @bean", "Call to action Read on",
        "Confidence 84 %", "mind the tone; approved by mara, and edited since", "Status accepted",
        "Id there mc_77",
        "Error 429 at first", "linkedin Said at length", "Mon 2 Mar 2026, 09:00 (Europe/Berlin) on twitter",
    ):  # fmt: skip
        assert told in text
    assert f'src="images/post-{post}.png" alt="A cup"' in page
    assert (report.folder / "images" / f"post-{post}.png").read_bytes() == PIXEL
    assert "Its picture is not in this folder: file:///nowhere/gone.png" in visible(report.page(other))
    assert "<img" not in report.page(other)


def test_a_rolled_back_run_has_its_report_and_nothing_else(report: Report) -> None:
    run = report.world.run()
    cycle = report.cycle(run)
    slot = report.slot(cycle, START, "Undone")
    report.post(cycle, slot)
    report.world.sql("UPDATE cycles SET withdrawn_at = now()")
    report.world.close(run, failed="content: no model answers")
    stages = [{"stage": "publish", "undone": 2, "kept": ["cnt_7 is out"]}, {"stage": "intake", "undone": 1}]
    report.world.sql(
        "INSERT INTO rollbacks (run_id, account_id, report) VALUES (%s, %s, %s)",
        run.id, report.world.account_id, json.dumps({"stages": stages, "credits_refunded": 12.5, "odd": [1]}),
    )  # fmt: skip
    text = visible(report.write())
    assert "Cycle 1, run manual__1" in text
    assert "12.5 credits refunded" in text
    assert "content: no model answers" in text
    assert "publish 2 cnt_7 is out intake 1 nothing" in text
    assert "odd 1" in text
    assert "Undone" not in text.replace("Stage Undone Left", "")
    assert not list(report.folder.glob("post-*.html"))


def test_whatever_the_rows_hold_stays_text(store: Store, database_url: str, tmp_path: Path) -> None:
    brand = BrandContext(account="demo", slug="evil", name=EVIL)
    world = make_mission(
        database_url, store, brand=brand, name=EVIL, objectives=[EVIL], description=EVIL, language='en"><b>'
    )
    report = Report(world, tmp_path / "report")
    run, first, second, _ = two_cycles(report)
    report.world.sql(
        "UPDATE posts SET headline = %s, parts = ARRAY[%s], hashtags = ARRAY[%s], cta = %s, review_note = %s,"
        " model = %s, adaptations = %s, options = %s, media_url = %s, media_type = 'x', media_alt = %s",
        *[EVIL] * 6, json.dumps({EVIL: EVIL}), json.dumps({EVIL: EVIL}), "https://evil.example/x.png", EVIL,
    )  # fmt: skip
    report.world.sql("UPDATE publications SET public_url = 'javascript:alert(1)', preview_url = %s", EVIL)
    report.world.sql(
        "UPDATE slots SET topic = %s, angle = %s, explores = %s, choices = choices || %s",
        *[EVIL] * 3, json.dumps({"pillar": EVIL, EVIL: EVIL}),
    )  # fmt: skip
    report.world.sql(
        "UPDATE cycles SET strategy = %s",
        json.dumps({"content_pillars": [{"name": EVIL, "weight": EVIL}], "tone_guidelines": EVIL}),
    )
    weights = {EVIL: '1"><script>', "18:00": "50%;} body{"}
    report.change(first, weights, weights, evidence=json.dumps({EVIL: {EVIL: [EVIL]}}), reverted_by=EVIL)
    report.insight(first, finding=EVIL, action=EVIL, evidence=json.dumps({"low": EVIL, "high": EVIL}))
    report.snapshot(second, 9, kpi_status=[dict.fromkeys(("metric", "target", "status", "platform"), EVIL)])
    output = {
        "too_little_data": {EVIL: EVIL},
        "recommendations": [EVIL],
        "predicted_improvement": {EVIL: EVIL},
    }
    report.world.sql("UPDATE optimizations SET output = %s", json.dumps(output))
    report.world.sql(
        "INSERT INTO rollbacks (run_id, account_id, report) VALUES (%s, %s, %s)",
        run.id, world.account_id, json.dumps({EVIL: EVIL, "stages": [{"stage": EVIL, "kept": [EVIL]}]}),
    )  # fmt: skip
    report.write(simulated=False)
    pages = sorted(report.folder.glob("*.html"))
    assert len(pages) == 3
    for path in pages:
        page = path.read_text("utf-8")
        outline = Outline(page)
        assert not outline.tags & {"script", "iframe", "object", "link"}
        assert "alert(1)" in page
        assert not re.search(r'style="[^"]*[^\w:%."-]', page)
        assert all(re.match(r"#|index\.html|post-\d+\.html", link) for link in outline.links)


def test_pages_are_well_formed_and_load_nothing(report: Report) -> None:
    _, first, _, posts = two_cycles(report)
    report.change(first, {"09:00": 1}, {"09:00": 2})
    report.insight(first)
    for page in (report.write(), report.page(posts[0])):
        outline = Outline(page)
        assert outline.open == []
        assert len(set(outline.ids)) == len(outline.ids)
        assert outline.headings[0] == 1
        assert all(
            later <= earlier + 1
            for earlier, later in zip(outline.headings, outline.headings[1:], strict=False)
        )
        assert {link[1:] for link in outline.links if link.startswith("#")} <= set(outline.ids)
        assert not [link for link in outline.links if "//" in link]


def test_another_account_and_a_folder_that_is_a_file_are_errors(report: Report, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("here already")
    with report.world.store.transaction(report.world.account_id + 1) as tx, pytest.raises(PermanentError):
        write_mission_page(tx, report.world.mission_id, tmp_path / "x", simulated=True)
    with report.world.store.transaction(report.world.account_id) as tx, pytest.raises(TransientError):
        write_mission_page(tx, report.world.mission_id, blocked / "inside", simulated=True)
