"""Commands on a site's articles: decide on them, and have them published."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from pressroom.cli.common import (
    changing,
    open_airflow,
    open_tx,
    open_workflow,
    operator,
    read_file,
    show,
    start,
)
from pressroom.domain.errors import PermanentError, PressroomError
from pressroom.domain.text import counted
from pressroom.engine import audit
from pressroom.store.workflows import WorkflowRow

Site = Annotated[str, typer.Argument(help="the site's slug", metavar="SITE")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("articles")(articles)
    app.command("approve-article")(approve_article)
    app.command("reject-article")(reject_article)
    app.command("edit-article")(edit_article)
    app.command("publish")(publish)


def articles(
    site: Site,
    status: Annotated[
        str | None, typer.Option(help="only those: review, approved, rejected or published")
    ] = None,
) -> None:
    """List articles that have gone to review, oldest first."""
    from pressroom.pipelines.site import approval

    with open_tx(site, "site") as (tx, row):
        listed = approval.articles(tx, row.workflow_id, status)
    show(
        ["article", "title", "status", "words", "content", "approved by", "published", "note"],
        [
            (
                each.id, each.title, each.status, each.word_count, each.content_hash[:12], each.approved_by,
                each.published_at, each.review_note,
            )
            for each in listed
        ],
    )  # fmt: skip


def approve_article(
    site: Site,
    article: Annotated[list[int] | None, typer.Argument(help="articles to approve")] = None,
    everything: Annotated[bool, typer.Option("--all", help="all that wait for review")] = False,
) -> None:
    """Approve articles as they are now, and have them published; a later edit voids it."""
    from pressroom.pipelines.site import approval

    if everything == bool(article):
        raise typer.BadParameter("name articles, or --all")
    with open_workflow(site, "site") as (store, row):
        with store.transaction(row.account_id) as tx:
            waiting = {each.id: each for each in approval.articles(tx, row.workflow_id, "review")}
            chosen = list(waiting) if everything else article or []
            for number in chosen:
                article_row = waiting.get(number) or approval.article(tx, row.workflow_id, number)
                approval.approve(tx, row.workflow_id, number, article_row.content_hash, getpass.getuser())
                audit.note(
                    tx, operator(), "article.approve", f"article:{number}", before=article_row.status,
                    after="approved", content_hash=article_row.content_hash,
                )  # fmt: skip
        typer.echo(f"{counted(len(chosen), 'article')} approved")
        if chosen and row.run().site.publish.targets:
            announce(row)


def reject_article(
    site: Site,
    article: Annotated[int, typer.Argument(help="the article's number")],
    reason: Annotated[str, typer.Option(help="why; kept with the article")],
) -> None:
    """Reject an article that is not published yet."""
    from pressroom.pipelines.site import approval

    with changing(site, "article.reject", "site", f"article:{article}", reason=reason) as (
        tx,
        row,
    ):
        approval.reject(tx, row.workflow_id, article, reason, getpass.getuser())
    typer.echo(f"article {article} rejected")


def edit_article(
    site: Site,
    article: Annotated[int, typer.Argument(help="the article's number")],
    title: Annotated[str | None, typer.Option(help="another title")] = None,
    html: Annotated[Path | None, typer.Option(help="a file with another text, as HTML")] = None,
) -> None:
    """Change an article; this voids an approval."""
    from pressroom.pipelines.site import approval

    if title is None and html is None:
        raise typer.BadParameter("say what is to change: --title, --html or both")
    text = None if html is None else read_file(html)
    fields = [name for name, value in (("title", title), ("html", html)) if value is not None]
    with changing(site, "article.edit", "site", f"article:{article}", fields=fields) as (
        tx,
        row,
    ):
        approval.edit(tx, row.workflow_id, article, by=getpass.getuser(), title=title, html=text)
    typer.echo(f"article {article} edited: it waits for review")


def publish(site: Site) -> None:
    """Start a run that publishes approved articles on the site's targets."""
    from pressroom.pipelines.registry import PUBLISH

    with open_workflow(site, "site") as (store, row):
        if not row.run().site.publish.targets:
            raise PermanentError(f"{site} has no targets: name some under publish: and apply it")
        with open_airflow() as (api, user):
            start(api, user, store, row, {}, PUBLISH)


def announce(row: WorkflowRow) -> None:
    """Send the asset's event, which starts a publish run. Without Airflow the approval stays recorded."""
    try:
        with open_airflow() as (api, _):
            api.asset_event(row.run().site.approved_asset)
    except PressroomError as error:
        typer.echo(
            f"not published yet: {error}; `pressroom publish {row.workflow.slug}` does it later", err=True
        )
    else:
        typer.echo("publishing starts")
