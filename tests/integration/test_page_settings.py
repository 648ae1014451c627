"""The settings pages: what is checked as one types, whose right is missing, two people at once."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from pressroom.domain.definitions import BrandContext, Definition, Site
from pressroom.domain.flows import Flow
from pressroom.domain.missions import Mission
from pressroom.page.settings.fields import FORMS, facts_of
from pressroom.page.settings.forms import SettingsForm, fields_of
from tests.support.control_things import furnish
from tests.support.control_world import Control
from tests.support.page_world import Browser

MODELS: dict[str, type[Definition]] = {
    "site": Site, "mission": Mission, "flow": Flow, "brand": BrandContext,
}  # fmt: skip


def filled_in(page: str) -> dict[str, Any]:
    """The fields of the form as a browser would send them."""
    form = page[page.index('<form id="settings"') : page.index("</form>", page.index('<form id="settings"'))]
    fields: dict[str, Any] = {}
    for tag in re.findall(r"<input\b[^>]*>", form):
        found = dict(re.findall(r'([\w:-]+)="([^"]*)"', tag))
        name = html.unescape(found.get("name", ""))
        if not name or (found.get("type") == "checkbox" and " checked" not in tag):
            continue
        fields.setdefault(name, []).append(html.unescape(found.get("value", "")))
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', options) or re.search(
            r'<option value="([^"]*)"', options
        )
        fields.setdefault(name, []).append(html.unescape(chosen[1]) if chosen else "")
    for name, text in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.DOTALL):
        fields.setdefault(name, []).append(html.unescape(text).replace("\n", "\r\n"))
    fields.pop("form_token")
    return fields


def said(page: str, field: str) -> str:
    """What stands beside a field as its problem."""
    found = re.search(rf'id="problem-{field}"[^>]*>(.*?)</p>', page, re.DOTALL)
    assert found, field
    return html.unescape(found[1])


async def changed(
    browser: Browser, page: str, user: str = "ed", *, to: str = "", expect: int = 200, **fields: Any
) -> str:
    """Open the settings, type, and send them."""
    sent = filled_in(await browser.open(page, user)) | {
        name.replace("__", "."): value for name, value in fields.items()
    }
    return await browser.send(page, page + to, user, expect=expect, **sent)


def definition(browser: Browser) -> Any:
    world = browser.control.world
    [(stored,)] = world.sql("SELECT definition FROM sites WHERE id = %s", world.site_id)
    [(automation,)] = world.sql(
        "SELECT to_jsonb(automation_configs) FROM automation_configs WHERE site_id = %s", world.site_id
    )
    return stored | {"automation": automation}


@pytest.mark.parametrize("kind", FORMS)
def test_every_field_of_a_form_is_one_of_the_definition(kind: str) -> None:
    fields = fields_of(FORMS[kind])
    assert len({each.path for each in fields}) == len(fields)
    for each in fields:
        facts_of(MODELS[kind], each)


def test_a_field_knows_its_bounds_and_its_guard() -> None:
    fields = {each.path: each for each in fields_of(FORMS["site"])}
    clusters = facts_of(Site, fields["automation.batch_sizes.clusters"])
    assert (clusters.least, clusters.most, clusters.default) == (5, 100, 20)
    cap = facts_of(Site, fields["caps.run_cents"])
    assert cap.guard is not None
    assert cap.guard.role == "owner"


@pytest.mark.parametrize("kind", ["site", "mission", "flow", "brand"])
async def test_a_form_that_is_sent_as_it_is_changes_nothing(browser: Browser, kind: str) -> None:
    things = furnish(browser.control.world)
    page = f"/{kind}s/{things[kind]}/settings"
    assert "Nothing was changed" in await changed(browser, page, "olga")
    assert browser.control.audit() == []


async def test_a_site_is_configured_and_it_is_on_record(browser: Browser) -> None:
    page = f"/sites/{browser.control.world.site_id}/settings"
    answer = await changed(
        browser, page, automation__enabled="true", automation__time="06:30",
        automation__timezone="Europe/Berlin", automation__batch_sizes__content="7",
        article__target_words="900", subject="日本の庭 و حديقة",
    )  # fmt: skip
    assert "Saved" in answer
    assert answer.count("<li><time") == 5
    stored = definition(browser)
    assert stored["automation"]["enabled"] is True
    assert stored["automation"]["scheduled_time"] == "06:30:00"
    assert stored["automation"]["batch_sizes"]["content"] == 7
    assert stored["article"]["target_words"] == 900
    assert stored["subject"] == "日本の庭 و حديقة"
    [(actor, action, details)] = browser.control.world.sql("SELECT actor, action, details FROM audit_log")
    assert (actor, action) == ("user:ed", "site.update")
    assert details["before"]["article.target_words"] == 1200
    assert len(details["changed"]) == 6


async def test_errors_stand_beside_their_fields_as_one_types_and_when_it_is_saved(browser: Browser) -> None:
    page = f"/sites/{browser.control.world.site_id}/settings"
    wrong: dict[str, Any] = {
        "automation__cron": "whenever", "automation__batch_sizes__clusters": "4",
        "article__target_words": "many",
        "automation__timezone": "Mars/Olympus",
    }  # fmt: skip
    typed = await changed(browser, page, to="/check", **wrong)
    saved = await changed(browser, page, expect=422, **wrong)
    for answer in (typed, saved):
        assert "five-field cron" in said(answer, "automation-cron")
        assert "5" in said(answer, "automation-batch_sizes-clusters")
        assert said(answer, "article-target_words")
        assert "IANA" in said(answer, "automation-timezone")
        assert said(answer, "name") == ""
    assert 'value="whenever"' in saved
    assert "Nothing is saved" in saved
    assert browser.control.audit() == []


async def test_the_next_five_runs_are_those_of_what_is_typed(browser: Browser) -> None:
    page = f"/sites/{browser.control.world.site_id}/settings"
    answer = await changed(
        browser, page, to="/check", automation__enabled="true", automation__cron="15 4 * * *",
        automation__timezone="Asia/Tokyo",
    )  # fmt: skip
    starts = re.findall(r'<time datetime="([^"]+)" data-zone="Asia/Tokyo"', answer)
    assert len(starts) == 5
    assert all(start[11:16] == "19:15" for start in starts)
    assert len({start[:10] for start in starts}) == 5
    assert definition(browser)["automation"]["cron"] is None


@pytest.mark.parametrize(
    ("user", "field", "value", "role"),
    [
        ("ed", "text__connection", "another_model", "approver"),
        ("ed", "publish__auto_publish", "true", "approver"),
        ("ann", "caps__month_cents", "900", "owner"),
    ],
)
async def test_the_page_says_which_right_a_change_needs(
    browser: Browser, user: str, field: str, value: str, role: str
) -> None:
    world = browser.control.world
    world.sql("UPDATE sites SET definition = jsonb_set(definition, '{caps,month_cents}', '\"500\"')")
    page = f"/sites/{world.site_id}/settings"
    typed: dict[str, Any] = {field: value}
    assert f"needs the role {role}" in await browser.open(page, user)
    for to, expect in (("/check", 200), ("", 403)):
        answer = await changed(browser, page, user, to=to, expect=expect, **typed)
        assert f"needs the role {role}" in said(answer, field.replace("__", "-"))
    assert browser.control.audit() == []
    assert "Saved" in await changed(browser, page, "olga", **typed)


async def test_targets_are_rows_and_what_is_wrong_with_one_is_said(browser: Browser) -> None:
    world = browser.control.world
    page = f"/sites/{world.site_id}/settings"
    rows: dict[str, Any] = {
        "publish__targets__to": ["wordpress", "static_site", ""],
        "publish__targets__connection": ["", "mirror", ""],
        "publish__targets__settings": ['{"categories": ["News"]}', "", ""],
    }
    answer = await changed(browser, page, "olga", **rows)
    assert "Saved" in answer
    assert definition(browser)["publish"]["targets"] == [
        {"to": "wordpress", "connection": None, "settings": {"categories": ["News"]}},
        {"to": "static_site", "connection": "mirror", "settings": {}},
    ]
    assert "Nothing was changed" in await changed(browser, page, "olga")
    rows["publish__targets__settings"] = ["{categories", "", ""]
    assert "no JSON" in said(await changed(browser, page, "olga", expect=422, **rows), "publish-targets")
    rows |= {"publish__targets__settings": ['{"title": "x"}', "", ""]}
    wrong = await changed(browser, page, "olga", expect=422, **rows)
    assert "no. 1" in said(wrong, "publish-targets")


async def test_two_people_see_each_others_change_and_lose_none(browser: Browser) -> None:
    page = f"/sites/{browser.control.world.site_id}/settings"
    before = filled_in(await browser.open(page, "ed"))
    await changed(browser, page, "olga", article__target_words="1000", subject="of olga")
    mine = before | {"automation.concurrency": "3", "subject": "of ed"}
    refused = await browser.send(page, page, "ed", expect=412, **mine)
    assert "was changed by user:olga" in refused
    assert "it is 1000 now" in refused
    assert "it is of olga now; yours is in the field" in refused
    assert definition(browser)["subject"] == "of olga"
    again = filled_in(refused)
    assert again["subject"] == ["of ed"]
    assert "Saved" in await browser.send(page, page, "ed", **again)
    stored = definition(browser)
    assert (stored["subject"], stored["article"]["target_words"]) == ("of ed", 1000)
    assert stored["automation"]["concurrency"] == 3


async def test_a_viewer_reads_the_settings_and_changes_none(browser: Browser) -> None:
    page = f"/sites/{browser.control.world.site_id}/settings"
    shown = await browser.open(page, "vera")
    assert "An editor of the account" in shown
    assert 'id="save"' not in shown
    await browser.open(page, "stella", expect=404)
    await browser.send("/", f"{page}/check", "vera", expect=403)


async def test_a_voice_a_mission_and_a_flow_are_changed_by_their_forms(browser: Browser) -> None:
    things = furnish(browser.control.world)
    voice = f"/brands/{things['brand']}/settings"
    assert "Saved" in await changed(
        browser, voice, "olga", voice="Calm.\r\nShort.", banned_words="cheap\r\n\r\n best "
    )
    [(stored,)] = browser.control.world.sql("SELECT definition FROM brand_contexts")
    assert (stored["voice"], stored["banned_words"]) == ("Calm.\nShort.", ["cheap", "best"])
    mission = f"/missions/{things['mission']}/settings"
    assert "Saved" in await changed(
        browser, mission, "olga", objectives="Be known\r\nBe loved", cycle_days="3"
    )
    wrong = await changed(
        browser, mission, "olga", to="/check", constraints__posts_per_day="99", objectives=""
    )
    assert said(wrong, "constraints-posts_per_day")
    assert said(wrong, "objectives")
    flow = f"/flows/{things['flow']}/settings"
    answer = await changed(browser, flow, "olga", trigger__cron="0 5 * * 1", work__concurrency="2")
    assert "Saved" in answer
    assert answer.count("<li><time") == 5


async def test_the_api_refuses_a_change_of_an_old_version(control: Control) -> None:
    path = f"/sites/{control.world.site_id}"
    first = (await control.get(path))["version"]
    assert (await control.get(path))["version"] == first
    headers = {"If-Match": f'"{first}"'}
    changed = await control("PATCH", path, json={"name": "One"}, headers=headers, expect=200)
    assert changed.json()["version"] != first
    refused = (await control("PATCH", path, json={"name": "Two"}, headers=headers, expect=412)).json()
    assert "was changed by user:ed" in refused["detail"]
    await control(
        "PATCH", path, json={"name": "Two"}, headers={"If-Match": changed.json()["version"]}, expect=200
    )


async def test_the_api_previews_a_change_and_saves_nothing(control: Control) -> None:
    path = f"/sites/{control.world.site_id}"
    before = await control.get(path)
    patch = {"automation": {"enabled": True, "frequency": "weekly"}, "caps": {"run_cents": "12.5"}}
    seen = (await control("POST", f"{path}/preview", json=patch, expect=200)).json()
    assert seen["changed"] == ["automation.enabled", "automation.frequency", "caps.run_cents"]
    assert len(seen["next_runs"]) == 5
    assert seen["version"] == before["version"]
    assert await control.get(path) == before
    wrong = await control("POST", f"{path}/preview", json={"brand": "nobody"}, expect=422)
    assert wrong.json()["errors"][0]["field"] == "body.brand"
    lacking = {"text": {"connection": "another"}}
    await control("POST", f"{path}/preview", json=lacking, expect=403)
    assert control.audit() == []


def test_a_number_is_the_same_with_and_without_zeros() -> None:
    form = SettingsForm.of(FORMS["site"], {"caps": {"run_cents": "500.0000"}}, "v")
    assert form.texts["caps.run_cents"] == "500"


async def test_a_voice_is_made_and_its_settings_open(browser: Browser) -> None:
    page = f"/sites/{browser.control.world.site_id}/settings"
    await browser.open(page)
    made = await browser.post("/brands", account="demo", title="Calm & short")
    assert made.status_code == 303
    assert "Calm &amp; short" in await browser.open(made.headers["Location"])
    assert browser.control.audit()[-1][:2] == ("user:ed", "brand.create")
    assert "Calm &amp; short</option>" in await browser.open(page)
    await browser.send(page, "/brands", expect=409, account="demo", title="Calm, short")
    await browser.send(page, "/brands", "vera", expect=403, account="demo", title="Another")
