"""`pressroom review`: what waits for a person, everything about it, and the decisions, by public ids."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from pressroom import settings
from pressroom.cli.common import changing, open_store, open_tx, operator, show
from pressroom.domain.errors import PermanentError
from pressroom.domain.public_ids import ARTICLE, CONTENT, GATE, PUBLICATION, public_id, row_id
from pressroom.engine.review import MOST, QueueOrder, QueueRule
from pressroom.store.database import SYSTEM, Store, Tx
from pressroom.store.workflows import WorkflowRow, account_by_slug, workflow_by_id

review = typer.Typer(help="Decide on what waits for a person.", no_args_is_help=True)

KINDS = {"article": ARTICLE, "post": CONTENT, "gate": GATE, "publication": PUBLICATION}
Piece = Annotated[str, typer.Argument(help="art_12, cnt_12 or gat_3, as `list` shows it", metavar="ID")]
Account = Annotated[str, typer.Argument(help="the account's slug", metavar="ACCOUNT")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for name, command in (
        ("list", list_queue), ("show", show_piece), ("diff", show_difference), ("approve", approve),
        ("reject", reject), ("again", again), ("share", share), ("links", list_links), ("revoke", revoke),
    ):  # fmt: skip
        review.command(name)(command)
    app.add_typer(review, name="review")


@dataclass(frozen=True)
class Found:
    """What a public id names. ``row``: the workflow that it is of."""

    kind: str
    number: int
    row: WorkflowRow

    @property
    def target(self) -> str:
        """How the audit log names it."""
        return f"{self.kind}:{self.number}"

    @property
    def where(self) -> str:
        """Its workflow, as commands name it."""
        return self.row.name


@contextmanager
def _found(name: str) -> Iterator[tuple[Store, Found]]:
    """Raises PermanentError for what there is not."""
    ids = {kind: number for kind, prefix in KINDS.items() if (number := row_id(prefix, name)) is not None}
    with open_store() as store:
        with store.transaction(SYSTEM) as tx:
            owners = [
                (kind, number, owner)
                for kind, number in ids.items()
                for owner in tx.rows("owner_of", kind=kind, id=number, username=None)
            ]
            if not owners:
                raise PermanentError(f"there is no {name}: `pressroom review list ACCOUNT` shows what waits")
            kind, number, owner = owners[0]
            row = workflow_by_id(
                tx.for_account(owner["account_id"]), owner["workflow_kind"], owner["workflow_id"]
            )
        yield store, Found(kind, number, row)


def list_queue(
    account: Account,
    order: Annotated[str, typer.Option(help="risk, oldest or newest")] = "risk",
    min_score: Annotated[int | None, typer.Option(min=0, max=100, help="only pieces that have it")] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="how much")] = 50,
) -> None:
    """List what waits for a person: what went wrong first, then gates, then pieces by their score."""
    from pressroom.engine.review import waiting_things

    orders: dict[str, QueueOrder] = {"risk": "risk", "oldest": "oldest", "newest": "newest"}
    if order not in orders:
        raise typer.BadParameter(f"--order: use one of {', '.join(orders)}")
    rule = QueueRule(order=orders[order], least=min_score, limit=limit)
    with open_store() as store, store.transaction() as tx:
        own = tx.for_account(account_by_slug(tx, account).account_id)
        things = waiting_things(own, rule)
        names = {row["id"]: row["name"] for row in own.rows("review_counts", kinds=None)}
    show(
        ["id", "kind", "of", "place", "title", "score", "since", "problem"],
        [
            (
                public_id(KINDS[each.kind], each.id), each.kind, names.get(each.workflow_id), each.place,
                each.title[:80], each.score, each.created_at, each.problem,
            )
            for each in things
        ],
    )  # fmt: skip


def show_piece(piece: Piece) -> None:
    """Show an article, a post or a gate as it would go on."""
    with _found(piece) as (store, found), store.transaction(found.row.account_id) as tx:
        for line in _said(tx, found):
            typer.echo(line)


def _said(tx: Tx, found: Found) -> list[str]:
    from pressroom.domain.markup.html import text_of
    from pressroom.pipelines.mission import review as posts
    from pressroom.pipelines.site import approval
    from pressroom.pipelines.site.checks import checks_of, score_of

    site = found.row.workflow_id
    if found.kind == "article":
        article = approval.article(tx, site, found.number)
        checks = checks_of(tx, site, found.number)
        lines = [f"{'ok' if each.good else 'no'}  {each.name}: {each.detail}" for each in checks]
        state = f"{article.status}, {score_of(checks)} of 100"
        return [article.title, state, *lines, "", text_of(article.html)]
    if found.kind == "post":
        post = posts.get_post(tx, site, found.number)
        return [f"{post.platform}, {post.status}, for {post.at:%Y-%m-%d %H:%M} UTC", "", *post.parts]
    if found.kind == "gate":
        [gate] = tx.rows("gates_page", gate=found.number, open_only=False, before=None, limit=1, flow=None)
        packets = tx.rows("packets_of_item", item=gate["item_id"])
        texts = [f"{each['step']} {each['kind']}: {each['data']}" for each in packets]
        until = f"until {gate['due_at']:%Y-%m-%d %H:%M} UTC"
        return [gate["title"] or "", gate["subject"], until, "", *texts]
    raise PermanentError("a publication: `pressroom publications` shows it, `settle` and `retry` decide it")


def show_difference(
    piece: Piece,
    to: Annotated[str, typer.Option(help="generated, or approved: what was approved last")] = "generated",
) -> None:
    """Show what was changed of an article's or a post's text: [-taken out-] and {+put in+}."""
    from pressroom.domain.markup.difference import difference
    from pressroom.domain.markup.html import text_of
    from pressroom.pipelines.kept_texts import kept_texts
    from pressroom.pipelines.mission import review as posts
    from pressroom.pipelines.site import approval

    with _found(piece) as (store, found), store.transaction(found.row.account_id) as tx:
        if found.kind == "article":
            article = approval.article(tx, found.row.workflow_id, found.number)
            now = [article.title, *text_of(article.html).split("\n")]
            kept = kept_texts(tx, "article", found.number).get(to)
            before = [kept.title, *text_of(kept.body).split("\n")] if kept else now
        elif found.kind == "post":
            now = posts.BETWEEN_PARTS.join(
                posts.get_post(tx, found.row.workflow_id, found.number).parts
            ).split("\n")
            kept = kept_texts(tx, "post", found.number).get(to)
            before = kept.body.split("\n") if kept else now
        else:
            raise PermanentError(f"{piece} is a {found.kind}, and has no other version")
    marks = {"same": "{}", "removed": "[-{}-]", "added": "{{+{}+}}"}
    changed = [block for block in difference(before, now) if block.changed]
    for block in changed:
        typer.echo("".join(marks[each.change].format(each.text) for each in block.passages))
    if not changed:
        typer.echo(f"nothing was changed since it was {to}" if kept else f"no {to} text is kept")


def approve(
    pieces: Annotated[list[str], typer.Argument(help="art_12, cnt_12 or gat_3", metavar="ID...")],
    text: Annotated[str, typer.Option(help="of a gate: another text in place of the model's")] = "",
) -> None:
    """Approve pieces as they are now, and have articles published; open gates."""
    from pressroom.cli.articles import announce
    from pressroom.pipelines.mission import review as posts
    from pressroom.pipelines.site import approval

    sites: dict[int, WorkflowRow] = {}
    for name in pieces:
        with _found(name) as (_, found):
            pass
        workflow = found.row.workflow_id
        if found.kind == "gate":
            _answer(found, "approve", text)
        else:
            _must_be_piece(name, found)
            with changing(found.where, f"{found.kind}.approve", target=found.target) as (tx, row):
                if found.kind == "article":
                    seen = approval.article(tx, workflow, found.number).content_hash
                    approval.approve(tx, workflow, found.number, seen, getpass.getuser())
                    sites[workflow] = row
                else:
                    seen = posts.get_post(tx, workflow, found.number).content_hash
                    posts.approve(tx, workflow, found.number, seen, getpass.getuser())
        typer.echo(f"{name} approved")
    for row in sites.values():
        if row.run().site.publish.targets:
            announce(row)


def reject(piece: Piece, reason: Annotated[str, typer.Option(help="why; kept with the piece")] = "") -> None:
    """Reject a piece, with a reason, or a gate's item."""
    from pressroom.pipelines.mission import review as posts
    from pressroom.pipelines.site import approval

    with _found(piece) as (_, found):
        pass
    if found.kind == "gate":
        _answer(found, "reject", "")
    else:
        _must_be_piece(piece, found)
        if not reason.strip():
            raise typer.BadParameter("--reason: a rejection needs one")
        with changing(found.where, f"{found.kind}.reject", target=found.target, reason=reason) as (tx, _):
            decide = approval.reject if found.kind == "article" else posts.reject
            decide(tx, found.row.workflow_id, found.number, reason, getpass.getuser())
    typer.echo(f"{piece} rejected")


def again(
    piece: Piece, guidance: Annotated[str, typer.Option(help="what the next version is to do")] = ""
) -> None:
    """Archive a piece and have it written again, with guidance."""
    from pressroom.pipelines.mission import review as posts
    from pressroom.pipelines.site import approval

    with _found(piece) as (_, found):
        _must_be_piece(piece, found)
    details = {"instructions": guidance}
    with changing(found.where, f"{found.kind}.regenerate", target=found.target, **details) as (tx, _):
        workflow = found.row.workflow_id
        if found.kind == "article":
            revision = approval.regenerate(tx, workflow, found.number, guidance)
            typer.echo(f"{piece} archived: the site's next run writes version {revision}")
        else:
            written = posts.regenerate(tx, workflow, found.number, guidance)
            typer.echo(f"{piece} archived: retry job_{written.run_id} from content for the next version")


def share(
    account: Account,
    recipient: Annotated[str, typer.Option("--for", help="for whom: the audit log says so")],
    piece: Annotated[str, typer.Option(help="only this article, post or gate")] = "",
    of: Annotated[str, typer.Option(help="only this site's, mission's or flow's queue")] = "",
    days: Annotated[int, typer.Option(min=1, max=90, help="how long it opens that")] = 7,
    *,
    decide: Annotated[bool, typer.Option("--decide", help="its holder also edits and decides")] = False,
) -> None:
    """Make a link for a reviewer without a login, and print it. It is shown this once."""
    from pressroom.domain.kinds import word_of
    from pressroom.engine import audit, links

    if piece and of:
        raise typer.BadParameter("a link is for one thing: --piece or --of")
    kind, number = None, None
    if piece:
        with _found(piece) as (_, found):
            kind, number = found.kind, found.number
        owner = found.row.workflow.account
    elif of:
        with open_tx(of) as (_, row):
            kind, number, owner = word_of(row.workflow), row.workflow_id, row.workflow.account
    else:
        owner = account
    if owner != account or kind == "publication":
        raise PermanentError(f"{piece or of} is nothing of the account {account} that a link can open")
    wanted = links.LinkFor(
        "piece" if piece else "queue", recipient, datetime.now(UTC) + timedelta(days=days), kind, number,
        "approver" if decide else "viewer",
    )  # fmt: skip
    with open_store() as store, store.transaction() as tx:
        own = tx.for_account(account_by_slug(tx, account).account_id)
        link, secret = links.make(own, wanted, links.LinkMaker(operator()))
        target = f"link:{link}"
        audit.note(own, operator(), "link.make", target, before=None, after=audit.state(own, target))
    typer.echo(f"{settings.airflow_login().url.rstrip('/')}/pressroom/link#{secret}")


def list_links(account: Account) -> None:
    """List the links of an account, newest first."""
    with open_store() as store, store.transaction() as tx:
        rows = tx.for_account(account_by_slug(tx, account).account_id).rows(
            "links", link=None, before=None, limit=1000
        )
    show(
        ["link", "for", "opens", "role", "sent by", "until", "last used", "valid"],
        [
            (
                public_id("lnk", row["id"]), row["recipient"],
                f"{row['opens']} {row['kind'] or ''} {row['number'] or ''}".strip(), row["role"],
                row["sent_by"],
                row["expires_at"], row["last_used_at"], "yes" if row["valid"] else "no",
            )
            for row in rows
        ],
    )  # fmt: skip


def revoke(
    account: Account, link: Annotated[str, typer.Argument(help="as in lnk_3", metavar="LINK")]
) -> None:
    """Revoke a link: it opens nothing from now on."""
    from pressroom.engine import audit

    number = row_id("lnk", link)
    with open_store() as store, store.transaction() as tx:
        own = tx.for_account(account_by_slug(tx, account).account_id)
        if not own.rows("links", link=number or 0, before=None, limit=1):
            raise PermanentError(f"the account {account} has no link {link}")
        with audit.changing(own, operator(), "link.revoke", f"link:{number}"):
            own.run("link_revoke", link=number, by=operator())
    typer.echo(f"{link} revoked")


def _must_be_piece(name: str, found: Found) -> None:
    if found.kind not in ("article", "post"):
        raise PermanentError(f"{name} is a {found.kind}, and cannot be decided like this")


def _answer(found: Found, decision: str, text: str) -> None:
    from pressroom.cli.flows import Decision, answer

    answer(found.row.workflow.slug, found.number, Decision(decision), text)
