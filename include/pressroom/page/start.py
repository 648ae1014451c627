"""The first run: from an empty installation to the first reviewed article, step by step."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from pydantic import ValidationError
from slugify import slugify

from pressroom.adapters.targets.registry import HANDLERS
from pressroom.api.kit.access import SITE, Scope, Subject, allowed, enter, scopes_of, signed_in
from pressroom.api.kit.callers import Caller, admission_of, plane_of
from pressroom.api.kit.problems import Problem, invalid_fields, mistakes, not_found
from pressroom.api.resources import accounts, grants
from pressroom.api.resources.accounts import NewAccount
from pressroom.api.resources.checks import checked, needs_of_workflow
from pressroom.api.resources.grants import GrantBody
from pressroom.api.resources.sites import SITES, SiteView
from pressroom.domain.definitions import Role
from pressroom.domain.grants.access import GrantKind
from pressroom.engine.runs import reports
from pressroom.page.kit.pages import SLUG_CHARS, Notice, outcome, rendered, to_page
from pressroom.page.kit.tokens import SentForm
from pressroom.page.workflow_view import facts
from pressroom.pipelines.registry import pipeline_of

router = APIRouter()

FEWEST_KEYWORDS = 5
"""What the first stage needs to begin."""


@router.get("/start")
def begin(request: Request, account: str = "", caller: Caller = signed_in()) -> HTMLResponse:
    """The first two steps: an account, and a site in it."""
    return _first_steps(request, caller, account, None, {})


@router.post("/start/account")
async def make_account(request: Request, form: SentForm, caller: Caller = signed_in()) -> Response:
    """Make an account."""
    typed = {name: form.text(name) for name in ("title", "slug", "credits")}
    slug = typed["slug"] or slugify(typed["title"], max_length=SLUG_CHARS)

    async def work() -> Notice:
        try:
            body = NewAccount.model_validate({
                "slug": slug, "name": typed["title"], "opening_credits": typed["credits"] or "0",
            })  # fmt: skip
        except ValidationError as error:
            raise _named(error) from None
        await run_in_threadpool(accounts.add_account, body, plane_of(request), caller)
        if form.text("everything"):
            subject = Subject("account", slug=body.slug)
            scope = await run_in_threadpool(
                enter, plane_of(request), admission_of(request), caller, subject, Role.OWNER
            )
            await run_in_threadpool(grants.grant, GrantBody(kind=GrantKind.EVERYTHING), scope)
        return Notice("good", f"The account {body.slug} is made, and you own it.")

    notice = await outcome(work)
    typed = typed if notice.tone == "bad" else {}
    return await run_in_threadpool(_first_steps, request, caller, slug, notice, typed)


@router.post("/start/site")
async def make_site(request: Request, form: SentForm, caller: Caller = signed_in()) -> Response:
    """Make a site in an account."""
    names = ("account", "title", "slug", "subject", "language", "url", "target", "connection")
    typed = {name: form.text(name) for name in names}
    made: list[SiteView] = []

    async def work() -> Notice:
        subject = Subject("account", slug=typed["account"] or None)
        scope = await run_in_threadpool(
            enter, plane_of(request), admission_of(request), caller, subject, Role.EDITOR
        )
        made.append(await SITES.create(scope, request, Response(), _site(typed)))
        return Notice("good", "The site is made.")

    notice = await outcome(work)
    if made:
        return to_page(request, f"/sites/{made[0].id}/start")
    return await run_in_threadpool(_first_steps, request, caller, typed["account"], notice, typed)


@router.get("/sites/{id}/start")
def steps(request: Request, scope: Scope = allowed(Role.VIEWER, SITE)) -> HTMLResponse:
    """What is done, and what comes next, until the first article is reviewed."""
    return _steps(request, scope, None)


@router.post("/sites/{id}/start/test")
def try_out(request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, SITE)) -> HTMLResponse:
    """Test one thing that the site's runs need, or all of them, and say in words what is wrong."""
    asked = form.text("need")
    needs = [each for each in needs_of_workflow(scope) if asked in ("", each.id)]
    if not needs:
        raise not_found("need")
    results: dict[str, Any] = {}
    for need in needs:
        try:
            results[need.id] = checked(scope, need.id)
        except Problem as problem:
            results[need.id] = problem
    if "HX-Request" in request.headers:
        return rendered(
            request, "start_need.html.j2", need=needs[0], results=results, here=f"/sites/{scope.id}",
            may_edit=True,
        )  # fmt: skip
    return _steps(request, scope, None, results)


def _first_steps(
    request: Request, caller: Caller, account: str, notice: Notice | None, typed: dict[str, str]
) -> HTMLResponse:
    scopes = scopes_of(plane_of(request), admission_of(request), caller)
    may = [each.account for each in scopes if each.role.covers(Role.EDITOR)]
    return rendered(
        request, "start.html.j2", notice.status if notice else 200, caller=caller, notice=notice,
        accounts=may, account=account if account in may else next(iter(may), ""), typed=typed,
        handlers=HANDLERS, member=bool(scopes),
    )  # fmt: skip


def _steps(
    request: Request, scope: Scope, notice: Notice | None, results: dict[str, Any] | None = None
) -> HTMLResponse:
    with scope.transaction() as tx:
        row = scope.workflow(tx)
        pipeline = pipeline_of(row.workflow)
        expected, balance = pipeline.estimate(tx, row.run()), reports.balance(tx)
        values = facts(scope, row) | dict(tx.rows("start_progress", site=scope.id)[0])
    values |= {
        "needs": needs_of_workflow(scope), "results": results or {}, "estimate": expected, "balance": balance,
        "enough": expected.sufficient(balance.available), "once": secrets.token_urlsafe(12),
        "fewest": FEWEST_KEYWORDS, "targets": [each.target_name for each in row.run().site.publish.targets],
    }  # fmt: skip
    return rendered(
        request,
        "start_steps.html.j2",
        notice.status if notice else 200,
        caller=scope.caller,
        notice=notice,
        **values,
    )


def _site(typed: dict[str, str]) -> dict[str, Any]:
    """The definition of a site, of what was typed; what is left empty has its default."""
    body: dict[str, Any] = {
        "slug": typed["slug"] or slugify(typed["title"], max_length=SLUG_CHARS),
        "name": typed["title"],
    }
    body |= {name: typed[name] for name in ("subject", "language", "url") if typed[name]}
    if typed["target"]:
        target = {"to": typed["target"], "connection": typed["connection"] or None}
        body["publish"] = {"targets": [target]}
    return body


def _named(error: ValidationError) -> Problem:
    labels = {"slug": "slug", "name": "name", "opening_credits": "opening credits"}
    return invalid_fields((labels.get(path, "account"), message) for path, message in mistakes(error))
