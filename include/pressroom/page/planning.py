"""Keywords, clusters and ideas of a site: what articles are planned from, before anything is spent on it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from pressroom.api.kit.access import SITE, Scope, Subject, allowed, enter
from pressroom.api.kit.items import ItemResource
from pressroom.api.kit.problems import Problem, problem_of
from pressroom.api.resources.clusters import CLUSTERS, NewCluster
from pressroom.api.resources.ideas import IDEAS
from pressroom.api.resources.keywords import (
    KEYWORDS,
    KeywordPreview,
    MoveKeywords,
    foreseen,
    imported,
    move_keywords,
)
from pressroom.domain.definitions import Role
from pressroom.domain.errors import PressroomError
from pressroom.domain.public_ids import LARGEST
from pressroom.domain.text import normalize
from pressroom.page.kit.pages import Notice, outcome, plural, refusal, rendered
from pressroom.page.kit.tokens import PostedForm, SentForm
from pressroom.page.workflow_view import facts
from pressroom.store.database import Tx

router = APIRouter(prefix="/sites/{id}")

SHOWN = 100
"""Keywords or ideas of a page."""
MOST_AT_ONCE = 200
MOST_CLUSTERS = 500
SHOWN_BAD = 50

Before = Annotated[int | None, Query(ge=1, le=LARGEST)]
ClusterQuery = Annotated[str, Query(max_length=20, pattern=r"^(none|\d*)$")]
Words = Annotated[str, Query(max_length=200)]
IdeaState = Literal["", "new", "queued", "away"]


@router.get("/keywords")
def keywords(
    request: Request,
    cluster: ClusterQuery = "",
    q: Words = "",
    before: Before = None,
    scope: Scope = allowed(Role.VIEWER, SITE),
) -> HTMLResponse:
    """The keywords and clusters."""
    return keywords_page(request, scope, None, cluster=cluster, q=q, before=before)


@router.post("/keywords/preview")
async def preview(
    request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, SITE)
) -> HTMLResponse:
    """What an import of a list would do. Nothing is saved."""
    try:
        data = sent_list(form)
        seen = await foreseen(scope, scope.id, data)
    except Problem as problem:
        return await run_in_threadpool(keywords_page, request, scope, refusal(problem))
    except PressroomError as error:
        return await run_in_threadpool(keywords_page, request, scope, refusal(problem_of(error)))
    return await run_in_threadpool(keywords_page, request, scope, None, seen=seen, data=data)


@router.post("/keywords/import")
async def add(request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, SITE)) -> HTMLResponse:
    """Add the list's keywords."""

    async def work() -> Notice:
        done = await imported(scope, scope.id, sent_list(form))
        skipped = f", {plural(done.duplicates, 'duplicate')} skipped" if done.duplicates else ""
        bad = f", {plural(done.bad_lines, 'bad row')} left out" if done.bad_lines else ""
        return Notice("good", f"{plural(done.added, 'keyword')} added{skipped}{bad}.")

    return await _shown(request, scope, await outcome(work), form)


@router.post("/keywords/move")
async def move(request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, SITE)) -> HTMLResponse:
    """Put what is ticked into another cluster, a new one, or none."""

    async def work() -> Notice:
        ids = _ticked(form)
        return await run_in_threadpool(_move, scope, ids, form)

    return await _shown(request, scope, await outcome(work), form)


def _move(scope: Scope, ids: list[int], form: PostedForm) -> Notice:
    to, name = form.text("to"), form.text("new_cluster")
    if to == "new":
        if not normalize(name) or len(name) > 100:
            raise Problem(
                422, "name of the new cluster: must have a letter or digit, and at most 100 characters"
            )
        body = NewCluster(site_id=scope.id, name=name)
        cluster: int | None = CLUSTERS.add(scope, scope.id, body.model_dump(exclude={"site_id"})).id
    elif to == "none":
        cluster = None
    elif to.isascii() and to.isdigit() and 0 < int(to) <= LARGEST:
        cluster = int(to)
    else:
        raise Problem(422, "cluster: none is chosen", remedy="choose where the keywords belong")
    moved = move_keywords(MoveKeywords(site_id=scope.id, ids=ids, cluster_id=cluster), scope).moved
    where = "are new again: the next run puts them into clusters" if cluster is None else "are moved"
    if moved == 1:
        where = where.replace("are", "is", 1).replace("puts them", "puts it").replace("clusters", "a cluster")
    return Notice("good", f"{plural(moved, 'keyword')} {where}.")


@router.get("/ideas")
def ideas(
    request: Request,
    state: IdeaState = "new",
    cluster: ClusterQuery = "",
    before: Before = None,
    scope: Scope = allowed(Role.VIEWER, SITE),
) -> HTMLResponse:
    """The ideas, and what one costs as an article."""
    return _ideas_page(request, scope, None, state, cluster, before)


# What they share --------------------------------------------------------------------------------------


def sent_list(form: PostedForm) -> bytes:
    """The list of a form: a file that a script has read, as base64, or pasted lines. Raises Problem 422."""
    if form.text("data"):
        try:
            return base64.b64decode(form.text("data"), validate=True)
        except (binascii.Error, ValueError):
            raise Problem(422, "the list: cannot be read", remedy="choose the file again") from None
    pasted = form.text("pasted")
    if not pasted:
        raise Problem(422, "the list: is empty", remedy="drop a CSV file, or paste keywords, one a line")
    first = pasted.splitlines()[0].casefold()
    # Lines without a heading are keywords, one each.
    text = pasted if "keyword" in first else f"keyword\n{_as_cells(pasted)}"
    return text.encode("utf-8", "replace")


def _as_cells(pasted: str) -> str:
    """Each line as the only cell of its row, whatever delimiters it holds."""
    return "\n".join('"' + line.replace('"', '""') + '"' for line in pasted.splitlines() if line.strip())


async def _turned(scope: Scope, form: PostedForm, turn: Turn) -> Notice:
    """Change everything that is ticked, each on record by itself, and say what came of it."""

    def work() -> Notice:
        done, refused = 0, []
        for number in _ticked(form):
            try:
                subject = Subject(turn.kind, number)
                own = enter(scope.plane, scope.admission, scope.caller, subject, Role.EDITOR)
                if own.workflow_id != scope.workflow_id:
                    raise Problem(404, f"there is no such {turn.kind} of this site")
                turn.resource.set(own, turn.action, {"disabled": turn.action == "disable"})
                done += 1
            except Problem as problem:
                refused.append(problem.detail)
        said = f"{plural(done, turn.kind)} {turn.words}"
        if not refused:
            return Notice("good", f"{said}.")
        reasons = "; ".join(sorted(set(refused))[:3])
        return Notice("warn", f"{said}; {len(refused)} not: {reasons}.")

    async def tried() -> Notice:
        return await run_in_threadpool(work)

    return await outcome(tried)


def _ticked(form: PostedForm) -> list[int]:
    """The ids that are ticked. Raises Problem 422 when there are none, or too many."""
    texts = form.all("item")
    ids = [int(text) for text in texts if text.isascii() and text.isdigit() and 0 < int(text) <= LARGEST]
    if not ids:
        raise Problem(422, "nothing is ticked", remedy="tick at least one row")
    if len(ids) > MOST_AT_ONCE:
        raise Problem(422, f"{len(ids):,} rows are ticked, and at most {MOST_AT_ONCE} are changed at once")
    return ids


async def _shown(request: Request, scope: Scope, notice: Notice, form: PostedForm) -> HTMLResponse:
    cluster = form.text("cluster")
    known = cluster if cluster == "none" or (cluster.isascii() and cluster.isdigit()) else ""
    return await run_in_threadpool(keywords_page, request, scope, notice, cluster=known)


def keywords_page(
    request: Request,
    scope: Scope,
    notice: Notice | None,
    *,
    cluster: str = "",
    q: str = "",
    before: int | None = None,
    seen: KeywordPreview | None = None,
    data: bytes = b"",
) -> HTMLResponse:
    """The page of keywords. ``seen``: the preview of ``data``, which its Import button sends again."""
    number = int(cluster) if cluster.isdigit() and int(cluster) <= LARGEST else None
    with scope.transaction() as tx:
        row = scope.workflow(tx)
        rows = tx.rows(
            "keywords_page", before=before, limit=SHOWN + 1, site=scope.id, cluster=number,
            status="new" if cluster == "none" else None, disabled=None, q=normalize(q) or None,
        )  # fmt: skip
        values = facts(scope, row) | {
            "clusters": _clusters(tx, scope), "total": int(tx.value("site_keywords", site=scope.id)),
        }  # fmt: skip
    values |= {
        "keywords": rows[:SHOWN], "next": rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None,
        "cluster": cluster, "q": q, "seen": seen, "shown_bad": SHOWN_BAD,
        "data": base64.b64encode(data).decode() if seen is not None else "",
    }  # fmt: skip
    status = notice.status if notice else 200
    return rendered(request, "keywords.html.j2", status, caller=scope.caller, notice=notice, **values)


def _clusters(tx: Tx, scope: Scope) -> list[dict[str, Any]]:
    return tx.rows(
        "clusters_page", before=None, limit=MOST_CLUSTERS, site=scope.id, status=None, disabled=None
    )


async def _ideas_shown(request: Request, scope: Scope, notice: Notice, form: PostedForm) -> HTMLResponse:
    state = form.text("state")
    known: IdeaState = state if state in ("", "new", "queued", "away") else "new"  # type: ignore[assignment]
    return await run_in_threadpool(_ideas_page, request, scope, notice, known, "", None)


def _ideas_page(
    request: Request,
    scope: Scope,
    notice: Notice | None,
    state: IdeaState,
    cluster: str,
    before: int | None,
) -> HTMLResponse:
    with scope.transaction() as tx:
        row = scope.workflow(tx)
        rows = tx.rows(
            "ideas_page", before=before, limit=SHOWN + 1, site=scope.id,
            cluster=int(cluster) if cluster.isdigit() and int(cluster) <= LARGEST else None,
            status={"new": "new", "queued": "queued"}.get(state),
            disabled={"new": False, "away": True}.get(state),
        )  # fmt: skip
        names = {each["id"]: each["name"] for each in _clusters(tx, scope)}
        values = facts(scope, row)
    run = row.run()
    charges, pictures = run.account.charges, run.site.images.per_article
    price: Decimal = charges.article + charges.prompt_set + pictures * charges.image
    values |= {
        "ideas": rows[:SHOWN], "next": rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None,
        "names": names, "state": state, "price": price, "pictures": pictures, "cluster": cluster,
    }  # fmt: skip
    status = notice.status if notice else 200
    return rendered(request, "ideas.html.j2", status, caller=scope.caller, notice=notice, **values)


# Turned on and off --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Turn:
    """What can be done with keywords or ideas that are ticked. ``words``: what is said of them then."""

    path: str
    kind: Literal["keyword", "idea"]
    resource: ItemResource[Any]
    action: Literal["disable", "enable"]
    words: str
    shown: Callable[[Request, Scope, Notice, PostedForm], Awaitable[HTMLResponse]]


TURNS = (
    Turn("/keywords/disable", "keyword", KEYWORDS, "disable", "left out of clusters and prompts", _shown),
    Turn("/keywords/enable", "keyword", KEYWORDS, "enable", "taken in again", _shown),
    Turn("/ideas/throw-away", "idea", IDEAS, "disable", "thrown away: nothing is spent there", _ideas_shown),
    Turn("/ideas/keep", "idea", IDEAS, "enable", "kept, for the next run", _ideas_shown),
)


def _add(turn: Turn) -> None:
    @router.post(turn.path, name=turn.path)
    async def change(
        request: Request, form: SentForm, scope: Scope = allowed(Role.EDITOR, SITE)
    ) -> HTMLResponse:
        return await turn.shown(request, scope, await _turned(scope, form, turn), form)


for each in TURNS:
    _add(each)
