"""The keywords of sites: what the first stage makes clusters of."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from pressroom.api.kit.access import ACCOUNT, KEYWORD, Scope, allowed
from pressroom.api.kit.bodies import Body
from pressroom.api.kit.items import ClusterFilter, DisabledFilter, ItemResource, SiteFilter, check_site
from pressroom.api.kit.paging import Page, Paged
from pressroom.api.kit.problems import invalid
from pressroom.api.kit.views import Amount
from pressroom.definitions.importing import import_keywords
from pressroom.definitions.keyword_lists import KeywordList
from pressroom.definitions.keywords_csv import LARGEST_VOLUME, LONGEST_KEYWORD, keyword_text
from pressroom.domain.definitions import Role
from pressroom.domain.public_ids import LARGEST
from pressroom.domain.text import normalize
from pressroom.store.quotas import must_have_room, room_for

router = APIRouter(prefix="/keywords", tags=["keywords"])

Intent = Literal["informational", "commercial", "transactional", "navigational"]
Volume = Annotated[int, Field(ge=0, le=LARGEST_VOLUME, description="searches a month")]
Difficulty = Annotated[Decimal, Field(ge=0, le=100, max_digits=12)]
CSV = {"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}}
CSV_TYPES = ("", "text/csv", "text/plain", "text/tab-separated-values", "application/octet-stream")


class KeywordView(BaseModel):
    """A keyword. ``cluster_id``: where it was put, null while it is new."""

    id: int
    site_id: int
    text: str
    volume: int | None
    difficulty: Amount | None
    intent: Intent | None
    status: Literal["new", "clustered"]
    disabled: bool
    cluster_id: int | None
    created_at: datetime


class NewKeyword(Body):
    """A keyword to add. Its spelling is normalized to tell duplicates: case and punctuation do not count."""

    text: Annotated[
        str, StringConstraints(min_length=1, max_length=LONGEST_KEYWORD), AfterValidator(keyword_text)
    ]
    volume: Volume | None = None
    difficulty: Difficulty | None = None
    intent: Intent | None = None


class NewKeywords(Body):
    """Keywords to add to a site."""

    site_id: int = Field(ge=1, le=LARGEST)
    keywords: list[NewKeyword] = Field(min_length=1, max_length=1000)


class AddedKeywords(BaseModel):
    """``duplicates``: twice in the request, or known to the site. ``items``: all of them as they are now."""

    added: int
    duplicates: int
    items: list[KeywordView]


class BadLine(BaseModel):
    """A line that was refused, and why."""

    line: int
    reason: str


class ImportedKeywords(BaseModel):
    """The result of an import. ``bad``: the first refused lines; ``bad_lines``: how many there are in all."""

    added: int
    duplicates: int
    bad_lines: int
    bad: list[BadLine]
    ignored_columns: list[str]
    encoding: str


class SampleKeyword(BaseModel):
    """A good row of a list. ``line``: from 1."""

    line: int
    text: str
    volume: int | None
    difficulty: Amount | None
    intent: Intent | None


class KeywordPreview(BaseModel):
    """What an import of a list would do. ``columns``: those that are read; ``rows``: the first good ones;
    ``duplicates``: twice in the list, or known to the site; ``room``: how many more keywords the account may
    have.
    """

    columns: list[str]
    ignored_columns: list[str]
    encoding: str
    good: int
    added: int
    duplicates: int
    bad_lines: int
    rows: list[SampleKeyword]
    bad: list[BadLine]
    room: int


class MoveKeywords(Body):
    """Keywords of a site for another cluster. ``cluster_id`` null: for none, so they are new again."""

    site_id: int = Field(ge=1, le=LARGEST)
    ids: list[Annotated[int, Field(ge=1, le=LARGEST)]] = Field(min_length=1, max_length=1000)
    cluster_id: int | None = Field(ge=1, le=LARGEST)


class MovedKeywords(BaseModel):
    """``moved``: how many are in another place than before."""

    moved: int


class KeywordChanges(Body):
    """What is left out stays as it is."""

    volume: Volume | None = None
    difficulty: Difficulty | None = None
    intent: Intent | None = None
    disabled: bool = Field(default_factory=bool)


KEYWORDS = ItemResource(
    "keyword", KeywordView, page="keywords_page", row="keyword_row", change="keyword_change"
)


@router.get("")
def list_keywords(
    paging: Paged,
    site: SiteFilter = None,
    cluster_id: ClusterFilter = None,
    status: Literal["new", "clustered"] | None = None,
    disabled: DisabledFilter = None,
    q: Annotated[
        str | None,
        Query(max_length=LONGEST_KEYWORD, description="a part of it, whatever its case and punctuation"),
    ] = None,
    scope: Scope = allowed(Role.VIEWER, ACCOUNT),
) -> Page[KeywordView]:
    """Keywords, newest first."""
    part = None if q is None else normalize(q)
    return KEYWORDS.list(scope, paging, site, cluster=cluster_id, status=status, disabled=disabled, q=part)


@router.post("", status_code=201)
def add_keywords(body: NewKeywords, scope: Scope = allowed(Role.EDITOR, ACCOUNT)) -> AddedKeywords:
    """Add keywords to a site. Keywords that it already has stay as they are."""
    rows: dict[str, dict[str, Any]] = {}
    for keyword in body.keywords:
        normalized = normalize(keyword.text)
        rows.setdefault(normalized, {**keyword.model_dump(), "normalized": normalized})
    target = f"site:{body.site_id}"
    with scope.changing("keyword.add", target, sent=len(rows)) as tx:
        check_site(tx, body.site_id)
        # In order, so that two requests for the same keywords do not wait for each other.
        added = tx.many("import_keyword", [{**rows[key], "site": body.site_id} for key in sorted(rows)])
        must_have_room(tx, "keywords")
        rows_now = tx.rows("keywords_named", site=body.site_id, normalized=list(rows))
    duplicates = len(body.keywords) - added
    return AddedKeywords(added=added, duplicates=duplicates, items=[KEYWORDS.show(row) for row in rows_now])


@router.post("/move")
def move_keywords(body: MoveKeywords, scope: Scope = allowed(Role.EDITOR, ACCOUNT)) -> MovedKeywords:
    """Put keywords into a cluster of their site, or into none. Ideas that were made of them stay."""
    ids = sorted(set(body.ids))
    with scope.transaction() as tx:
        check_site(tx, body.site_id)
        rows = tx.rows("keywords_to_move", site=body.site_id, ids=ids)
        if len(rows) < len(ids):
            known = {row["id"] for row in rows}
            missing = next(number for number in ids if number not in known)
            raise invalid("body.ids", f"the site has no keyword {missing}", remedy="GET keywords lists them")
        cluster = body.cluster_id
        if cluster is not None and tx.value("cluster_of_site", site=body.site_id, cluster=cluster) is None:
            raise invalid("body.cluster_id", "the site has no such cluster", remedy="GET clusters lists them")
        before = {str(row["id"]): row["cluster_id"] for row in rows if row["cluster_id"] != cluster}
        if before:
            tx.run(
                "keywords_move", site=body.site_id, ids=[int(number) for number in before], cluster=cluster
            )
            after = dict.fromkeys(before, cluster)
            scope.note(
                tx, "keyword.move", f"site:{body.site_id}", before=before, after=after, keywords=len(before)
            )
    return MovedKeywords(moved=len(before))


@router.post("/preview", openapi_extra=CSV)
async def preview_list(
    request: Request,
    site_id: Annotated[int, Query(ge=1, le=LARGEST, description="the site's number")],
    scope: Scope = allowed(Role.EDITOR, ACCOUNT),
) -> KeywordPreview:
    """What an import of the list would do: its columns, its first rows, its bad lines. Nothing is saved."""
    data = await sent_list(request)
    return await foreseen(scope, site_id, data)


async def foreseen(scope: Scope, site_id: int, data: bytes) -> KeywordPreview:
    """What an import would do. Raises DefinitionError when the list cannot be understood."""

    def compared(listed: KeywordList) -> tuple[int, int]:
        with scope.transaction() as tx:
            known = sum(tx.value("keywords_known", site=site_id, rows=chunk) for chunk in listed.chunks)
            return known, room_for(tx, "keywords")

    await scope.run(check_site, site_id)
    async with scope.admission.lists.read(scope.owner, data, "the list") as listed:
        known, room = await run_in_threadpool(compared, listed)
    return KeywordPreview(
        columns=list(listed.columns), ignored_columns=list(listed.ignored_columns), encoding=listed.encoding,
        good=listed.rows, added=listed.rows - known, duplicates=listed.duplicates + known,
        bad_lines=listed.bad_rows, room=room,
        rows=[SampleKeyword.model_validate(row) for row in listed.first],
        bad=[BadLine(line=row.line, reason=row.reason) for row in listed.bad],
    )  # fmt: skip


async def sent_list(request: Request) -> bytes:
    """The list that a request brings. Raises Problem 422 for another kind of body."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in CSV_TYPES:
        raise invalid("header.content-type", f"is {kind[:100]!r}", remedy="send the list itself, as text/csv")
    return await request.body()


@router.post("/import", status_code=201, openapi_extra=CSV)
async def import_list(
    request: Request,
    site_id: Annotated[int, Query(ge=1, le=LARGEST, description="the site's number")],
    scope: Scope = allowed(Role.EDITOR, ACCOUNT),
) -> ImportedKeywords:
    """Add a keyword list as spreadsheets and keyword tools export it, in chunks of 1,000 lines. Sent again
    after it was cut off, the same list goes on where it was: what is there by then counts as duplicates.
    """
    data = await sent_list(request)
    return await imported(scope, site_id, data)


async def imported(scope: Scope, site_id: int, data: bytes) -> ImportedKeywords:
    """Add a list's keywords to a site, on record in the audit log. Raises as ``import_keywords``."""
    await scope.run(check_site, site_id)
    async with scope.admission.lists.read(scope.owner, data, "body") as listed:
        report = await run_in_threadpool(
            import_keywords, scope.store, scope.account_id, site_id, listed, scope.note, bytes=len(data)
        )
    return ImportedKeywords(
        added=report.added,
        duplicates=report.duplicates,
        bad_lines=report.bad_rows,
        bad=[BadLine(line=row.line, reason=row.reason) for row in report.bad],
        ignored_columns=list(report.ignored_columns),
        encoding=report.encoding,
    )


@router.patch("/{id}")
def change_keyword(body: KeywordChanges, scope: Scope = allowed(Role.EDITOR, KEYWORD)) -> KeywordView:
    """Change a keyword's figures, or disable it. Its text cannot change: another text is another keyword."""
    return KEYWORDS.set(scope, "change", body.model_dump(exclude_unset=True))


KEYWORDS.add_routes(
    router,
    KEYWORD,
    disable="Leave a keyword out: it is not clustered, and no prompt names it.",
    enable="Take a keyword in again.",
)
