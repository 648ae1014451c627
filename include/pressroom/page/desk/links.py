"""Links for reviewers without a login: made, listed and revoked by an account's approvers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from pressroom.api.kit.access import LINK, Scope, Subject, allowed, enter, scopes_of, signed_in
from pressroom.api.kit.callers import Caller, admission_of, plane_of
from pressroom.api.kit.problems import not_found
from pressroom.api.resources.review import links
from pressroom.api.resources.review.links import LinkBody
from pressroom.domain.definitions import Role
from pressroom.page.kit.pages import Notice, address_of, filled_in, outcome, rendered
from pressroom.page.kit.tokens import PostedForm, SentForm

router = APIRouter(prefix="/review/links")

LISTED = 100
DAYS = (1, 7, 30, 90)


@router.get("")
def show(
    request: Request, account: Annotated[str, Query(max_length=60)] = "", caller: Caller = signed_in()
) -> HTMLResponse:
    """The links of an account, and the form for another one."""
    return _page(request, caller, account, None)


@router.post("")
async def make(request: Request, form: SentForm, caller: Caller = signed_in()) -> HTMLResponse:
    """Make a link. It is shown in the answer, and never again."""
    account = form.text("account")
    made = ""

    async def work() -> Notice:
        nonlocal made
        scope = await run_in_threadpool(_scope, request, caller, account)
        body = _body(form)
        link = await run_in_threadpool(links.make, scope, body, address_of(request))
        made = link.url
        return Notice("good", f"The link for {link.recipient} is made. Copy it now: it is not shown again.")

    notice = await outcome(work)
    return await run_in_threadpool(_page, request, caller, account, notice, made)


@router.post("/{id}/revoke")
async def revoke(
    request: Request, form: SentForm, scope: Scope = allowed(Role.APPROVER, LINK)
) -> HTMLResponse:
    """Revoke a link."""

    async def work() -> Notice:
        link = await run_in_threadpool(links.revoke, scope)
        return Notice("good", f"The link for {link.recipient} opens nothing any more.")

    notice = await outcome(work)
    return await run_in_threadpool(_page, request, scope.caller, scope.account, notice)


def _body(form: PostedForm) -> LinkBody:
    opens, _, of = form.text("of").partition(":")
    days = form.text("days")
    asked = {
        "opens": opens or "queue", "recipient": form.text("recipient"), "role": form.text("role", "viewer"),
        "expires_at": datetime.now(UTC) + timedelta(days=int(days) if days.isdecimal() else links.USUAL_DAYS),
        **({of.partition("=")[0]: of.partition("=")[2]} if of else {}),
    }  # fmt: skip
    return filled_in(LinkBody, asked, "no link is made")


def _scope(request: Request, caller: Caller, account: str) -> Scope:
    subject = Subject("account", slug=account)
    return enter(plane_of(request), admission_of(request), caller, subject, Role.APPROVER)


def _page(
    request: Request, caller: Caller, account: str, notice: Notice | None, made: str = ""
) -> HTMLResponse:
    scopes = scopes_of(plane_of(request), admission_of(request), caller)
    scopes = [each for each in scopes if each.role.covers(Role.APPROVER)]
    scope = next((each for each in scopes if account in ("", each.account)), None)
    if scope is None and account and notice is None:
        raise not_found("account in which you may send links")
    rows, places = [], []
    if scope is not None:
        with scope.transaction() as tx:
            rows = [links.view(row) for row in tx.rows("links", link=None, before=None, limit=LISTED)]
            places = tx.rows("workflows_named")
    prefixes = {"site": "site_id=", "mission": "mission_id=msn_", "flow": "flow_id=flw_"}
    options = [("queue:", "Everything that waits in the account")]
    options += [
        (f"queue:{prefixes[row['kind']]}{row['id']}", f"What waits of {row['name']}") for row in places
    ]
    status = notice.status if notice else 200
    return rendered(
        request, "review_links.html.j2", status, caller=caller, notice=notice, made=made, links=rows,
        account=scope.account if scope else "", accounts=[each.account for each in scopes], options=options,
        days=DAYS, usual_days=links.USUAL_DAYS,
    )  # fmt: skip
