"""The pages on which settings are changed: checked as one types, saved with the rights of each field."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from slugify import slugify

from pressroom.api.kit.access import (
    BRAND,
    FLOW,
    MISSION,
    SITE,
    Scope,
    Subject,
    allowed,
    enter,
    signed_in,
)
from pressroom.api.kit.callers import Caller, admission_of, plane_of
from pressroom.api.kit.problems import TITLES, Problem, problem_of
from pressroom.api.resources.brand_contexts import BRANDS, BrandView
from pressroom.api.resources.definitions import Resource, version_of
from pressroom.api.resources.flows import FLOWS
from pressroom.api.resources.missions import MISSIONS
from pressroom.api.resources.sites import SITES
from pressroom.domain.definitions import Role
from pressroom.domain.errors import PressroomError
from pressroom.domain.public_ids import BRAND as BRAND_ID
from pressroom.domain.public_ids import public_id
from pressroom.page import workflow_view
from pressroom.page.kit.pages import SLUG_CHARS, Notice, outcome, plural, rendered, to_page
from pressroom.page.kit.tokens import PostedForm, SentForm
from pressroom.page.settings.fields import FORMS, TARGETS, FieldFacts, facts_of
from pressroom.page.settings.forms import SettingsForm, fields_of
from pressroom.store.workflows import parse

SAVED = "Saved. The next run goes by it; one that is on goes on by what it began with."


def _routes(path: str, resource: Resource[Any, Any], locate: Callable[..., Subject]) -> APIRouter:
    router = APIRouter(prefix=f"/{path}/{{id}}/settings")

    @router.get("")
    def page(request: Request, scope: Scope = allowed(Role.VIEWER, locate)) -> HTMLResponse:
        return _page(request, scope, resource, stored_form(scope, resource), None)

    @router.post("")
    async def save(
        request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, locate)
    ) -> HTMLResponse:
        sent, notice = await saved(scope, resource, form)
        return await run_in_threadpool(_page, request, scope, resource, sent, notice)

    @router.post("/check")
    def check(request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, locate)) -> HTMLResponse:
        sent = SettingsForm.sent(FORMS[resource.kind.word], form)
        starts = checked(scope, resource, sent)
        return rendered(
            request, "settings_check.html.j2", form=sent, starts=starts, zone=_zone(scope, resource, sent),
            scheduled=_has_schedule(resource),
        )  # fmt: skip

    return router


def stored_form(scope: Scope, resource: Resource[Any, Any]) -> SettingsForm:
    """The form of what is stored."""
    stored = resource.stored(scope)
    return SettingsForm.of(FORMS[resource.kind.word], stored.data, version_of(stored))


def checked(scope: Scope, resource: Resource[Any, Any], form: SettingsForm) -> list[datetime]:
    """Say beside each field what is wrong with it. Returns the next starts, none when anything is wrong."""
    patch = form.patch()
    try:
        return resource.preview(scope, patch).next_runs
    except Problem as problem:
        form.blame(problem)
    except PressroomError as error:
        form.blame(problem_of(error))
    return []


async def saved(
    scope: Scope, resource: Resource[Any, Any], posted: PostedForm
) -> tuple[SettingsForm, Notice]:
    """Save what was changed. Returns the form to show then, and what came of it."""
    form = SettingsForm.sent(FORMS[resource.kind.word], posted)
    patch, labels = form.patch(), [each.label for each in form.changed]
    if form.problems:
        return form, _wrong(form)
    if not patch:
        return await run_in_threadpool(stored_form, scope, resource), Notice("warn", "Nothing was changed.")
    try:
        await resource.patch(scope, patch, form.version)
    except Problem as problem:
        if problem.status == 412:
            now = await run_in_threadpool(stored_form, scope, resource)
            text = f"{problem.detail[0].upper()}{problem.detail[1:]}, so nothing is saved yet."
            remedy = (
                "What changed is said beside its field, and your changes are kept: save again to make them."
            )
            return form.onto(now), Notice("warn", text, remedy, 412)
        form.blame(problem)
        return form, _wrong(form, problem.status)
    except PressroomError as error:
        refused = problem_of(error)
        form.blame(refused)
        return form, _wrong(form, refused.status)
    done = await run_in_threadpool(stored_form, scope, resource)
    return done, Notice("good", f"{SAVED} Changed: {', '.join(labels)}.")


def _wrong(form: SettingsForm, status: int = 422) -> Notice:
    fields = len(form.problems)
    said = [f"{plural(fields, 'field')} cannot be saved as typed: see beside"] if fields else []
    return Notice("bad", "Nothing is saved. " + "; ".join([*form.general, *said]) + ".", None, status)


def _page(
    request: Request, scope: Scope, resource: Resource[Any, Any], form: SettingsForm, notice: Notice | None
) -> HTMLResponse:
    word, editing = resource.kind.word, scope.role.covers(Role.EDITOR)
    stored = resource.stored(scope)
    starts = [] if form.problems or not editing else checked(scope, resource, form)
    with scope.transaction() as tx:
        brands = tx.rows("brand_definitions", id=None, slug=None, before=None, limit=1000)
        head: dict[str, Any] = (
            {
                "here": f"/brands/{public_id(BRAND_ID, scope.id)}",
                "name": stored.data.get("name") or stored.slug,
            }
            if word == "brand"
            else workflow_view.facts(scope, scope.workflow(tx))
        )
    facts = {each.path: facts_of(resource.kind.model, each) for each in fields_of(form.groups)}
    values = head | {
        "form": form, "facts": facts, "word": word, "may_edit": editing,
        "role": scope.role, "account": scope.account,
        "rights": {path: _right(scope, each) for path, each in facts.items()},
        "brands": [
            (row["slug"], public_id(BRAND_ID, row["id"]), row["definition"].get("name")) for row in brands
        ],
        "handlers": TARGETS, "zones": sorted(available_timezones()), "starts": starts,
        "zone": _zone(scope, resource, form), "scheduled": _has_schedule(resource),
    }  # fmt: skip
    status = notice.status if notice else 200
    return rendered(request, "settings.html.j2", status, caller=scope.caller, notice=notice, **values)


def _right(scope: Scope, facts: FieldFacts) -> str:
    """What the viewer cannot do with a field; '' when there is nothing."""
    guard = facts.guard
    if guard is None or scope.role.covers(guard.role):
        return ""
    return f"A change after which {guard.why} needs the role {guard.role}; yours is {scope.role}."


def _has_schedule(resource: Resource[Any, Any]) -> bool:
    return resource.kind.word != "brand"


def _zone(scope: Scope, resource: Resource[Any, Any], form: SettingsForm) -> str:
    """The time zone that is typed, else the one that is stored."""
    if resource.kind.word == "brand":
        return "UTC"
    for path in ("automation.timezone", "constraints.timezone", "trigger.timezone"):
        if path in form.texts and path not in form.problems:
            return form.texts[path] or "UTC"
    return workflow_view.zone_of(parse(resource.kind.model, resource.stored(scope).data, ""))


voices = APIRouter(prefix="/brands")


@voices.post("")
async def make_voice(request: Request, form: SentForm, caller: Caller = signed_in()) -> Response:
    """Make a voice, and open its settings."""
    made: list[BrandView] = []

    async def work() -> Notice:
        subject = Subject("account", slug=form.text("account") or None)
        scope = await run_in_threadpool(
            enter, plane_of(request), admission_of(request), caller, subject, Role.EDITOR
        )
        name = form.text("title")
        body = {"slug": slugify(name, max_length=SLUG_CHARS), "name": name}
        made.append(await BRANDS.create(scope, request, Response(), body))
        return Notice("good", "The voice is made.")

    notice = await outcome(work)
    if made:
        return to_page(request, f"/brands/{made[0].id}/settings")
    problem = Problem(notice.status, notice.text, remedy=notice.remedy)
    return rendered(
        request, "problem.html.j2", notice.status, title=TITLES.get(notice.status, "Error"), problem=problem
    )


ROUTERS = (
    voices,
    _routes("sites", SITES, SITE), _routes("missions", MISSIONS, MISSION), _routes("flows", FLOWS, FLOW),
    _routes("brands", BRANDS, BRAND),
)  # fmt: skip
