"""Commands on missions: the output of a cycle, insights, posts to review, publications."""

from __future__ import annotations

import getpass
import json
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pressroom.cli.common import changing, open_airflow, open_tx, operator, read_file, show
from pressroom.domain.errors import PermanentError, RunConflict, TransientError
from pressroom.domain.public_ids import PUBLICATION, public_id
from pressroom.domain.text import to_json
from pressroom.engine import audit
from pressroom.engine.runs import reports
from pressroom.store import frozen

if TYPE_CHECKING:  # the stages bring libraries along that other commands should not wait for
    from pressroom.pipelines.mission.learning.changes import StrategyChange

Mission = Annotated[str, typer.Argument(help="the mission's slug", metavar="MISSION")]


class Settlement(StrEnum):
    """What an operator saw at the target of an unknown publication."""

    SENT = "sent"
    NOT_SENT = "not-sent"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (output, insights, revert, posts, approve, reject, publications, settle, unpublish):
        app.command(command.__name__)(command)
    app.command("edit-post")(edit_post)
    app.command("choose-post")(choose_post)


def output(
    name: Annotated[str, typer.Argument(help="the slug of a site or mission", metavar="NAME")],
    stage: Annotated[str | None, typer.Option(help="only this stage's")] = None,
    run: Annotated[int | None, typer.Option(help="a run's number; default: the live or last one")] = None,
) -> None:
    """Print what each stage of a run made, as JSON."""
    from pressroom.pipelines.registry import pipeline_of_dag

    with open_tx(name) as (tx, row):
        chosen = reports.run_of(tx, row.workflow_id, run)
        if chosen is None:
            raise PermanentError(f"{name} has no run {run}" if run else f"{name} has no runs yet")
        row = frozen.shown_row(tx, row, chosen.id)
        pipeline = pipeline_of_dag(row.workflow, chosen.dag_id)
        outputs = reports.outputs(tx, row.run(chosen.id), pipeline, reports.status_of(tx, chosen, pipeline))
    if stage is not None:
        outputs = [each for each in outputs if each["stage"] == stage]
        if not outputs:
            raise typer.BadParameter(f"there is no stage {stage!r}")
    typer.echo(json.dumps(json.loads(to_json(outputs)), indent=2, ensure_ascii=False))


def insights(mission: Mission) -> None:
    """Show what optimize found, and what it changed because of that."""
    from pressroom.pipelines.mission.learning import changes as parameters

    with open_tx(mission, "mission") as (tx, row):
        learned = parameters.insights(tx, row.workflow_id)
        changed = parameters.changes(tx, row.workflow_id)
    show(
        ["cycle", "type", "confidence", "finding", "action"],
        [(each.cycle, each.type, f"{each.confidence:.2f}", each.finding, each.action) for each in learned],
        title=f"{len(learned)} insights",
    )
    show(
        ["change", "cycle", "platform", "factor", "before", "after", "posts", "state"],
        [
            (
                each.id, each.cycle, each.platform, each.factor, _weights(each.before), _weights(each.after),
                each.evidence.get("posts", ""),
                _state(each),
            )
            for each in changed
        ],
        title=f"{len(changed)} changes of the strategy",
    )  # fmt: skip


def revert(
    mission: Mission, change: Annotated[int, typer.Argument(help="its number, as `insights` shows it")]
) -> None:
    """Take a change of the strategy back: the next cycle is planned without it."""
    from pressroom.pipelines.mission.learning import changes as parameters

    with changing(mission, "insight.revert", "mission", f"change:{change}") as (tx, row):
        undone = parameters.revert(tx, row.workflow_id, change, getpass.getuser())
    typer.echo(
        f"reverted: {undone.factor} on {undone.platform} is as it was before cycle {undone.cycle}'s results"
    )


def posts(
    mission: Mission,
    status: Annotated[str | None, typer.Option(help="only those, e.g. pending_review")] = None,
) -> None:
    """List posts, by the time at which they appear."""
    from pressroom.pipelines.mission import review

    with open_tx(mission, "mission") as (tx, row):
        listed = review.list_posts(tx, row.workflow_id, status)
    show(
        ["post", "appears", "platform", "status", "text", "note"],
        [
            (post.id, post.at, post.platform, post.status, post.parts[0][:70], post.review_note)
            for post in listed
        ],
    )


def approve(
    mission: Mission,
    post: Annotated[list[int] | None, typer.Argument(help="posts to approve")] = None,
    everything: Annotated[bool, typer.Option("--all", help="all that wait for review")] = False,
) -> None:
    """Approve posts as they are now; a later edit voids it."""
    from pressroom.pipelines.mission import review

    with open_tx(mission, "mission") as (tx, row):
        waiting = {each.id: each for each in review.list_posts(tx, row.workflow_id, "pending_review")}
        approved = 0
        for number in list(waiting) if everything else post or []:
            if number not in waiting:
                raise PermanentError(f"post {number} does not wait for review")
            try:
                review.approve(tx, row.workflow_id, number, waiting[number].content_hash, getpass.getuser())
                audit.note(
                    tx, operator(), "post.approve", f"post:{number}", before="pending_review",
                    after="approved", content_hash=waiting[number].content_hash,
                )  # fmt: skip
            except RunConflict as conflict:
                if not everything:
                    raise
                typer.echo(str(conflict), err=True)  # it holds none of the others
            else:
                approved += 1
    typer.echo(f"{approved} posts approved")


def reject(
    mission: Mission,
    post: Annotated[int, typer.Argument(help="the post's number")],
    reason: Annotated[str, typer.Option(help="why; kept with the post")],
) -> None:
    """Reject a post that waits for review."""
    from pressroom.pipelines.mission import review

    with changing(mission, "post.reject", "mission", f"post:{post}", reason=reason) as (
        tx,
        row,
    ):
        review.reject(tx, row.workflow_id, post, reason, getpass.getuser())
    typer.echo(f"post {post} rejected")


def edit_post(
    mission: Mission,
    post: Annotated[int, typer.Argument(help="the post's number")],
    text: Annotated[Path, typer.Option(help="a file with another text; --- on a line parts a thread")],
) -> None:
    """Change a post; this voids an approval."""
    from pressroom.pipelines.mission import review

    parts = re.split(r"^---$", read_file(text), flags=re.MULTILINE)
    with changing(mission, "post.edit", "mission", f"post:{post}", fields=["parts"]) as (tx, row):
        changed = review.edit(tx, row.workflow_id, post, parts, getpass.getuser())
    typer.echo(f"post {post} edited: it is {changed.status}")


def choose_post(
    mission: Mission, post: Annotated[int, typer.Argument(help="the number of the version that is liked")]
) -> None:
    """Put a post's second version in the first one's place: it waits for review then."""
    from pressroom.pipelines.mission import review

    with changing(mission, "post.choose", "mission", f"post:{post}") as (tx, row):
        review.choose(tx, row.workflow_id, post, getpass.getuser())
    typer.echo(f"post {post} chosen: it waits for review")


def publications(
    name: Annotated[str, typer.Argument(help="the slug of a site or mission", metavar="NAME")],
    status: Annotated[str | None, typer.Option(help="only those, e.g. unknown")] = None,
) -> None:
    """List what was published where, and what became of it."""
    from pressroom.engine.publishing import ledger as publishing

    with open_tx(name) as (tx, row):
        listed = publishing.publications(tx, row.workflow_id, status)
    show(
        ["publication", "content", "target", "status", "scheduled for", "id there", "attempts", "error"],
        [
            (
                each.id,
                each.content,
                each.target,
                each.status,
                each.scheduled_for,
                each.external_id,
                each.attempts,
                each.error,
            )
            for each in listed
        ],
    )


def settle(
    name: Annotated[str, typer.Argument(help="the slug of a site or mission", metavar="NAME")],
    publication: Annotated[int, typer.Argument(help="its number, as `publications` shows it")],
    outcome: Annotated[Settlement, typer.Argument(help="whether the target has it")],
    external_id: Annotated[str | None, typer.Option("--id", help="its id there, when it was sent")] = None,
) -> None:
    """Say what became of a publication that is unknown, after having looked at the target."""
    from pressroom.engine.publishing import ledger as publishing

    target = f"publication:{publication}"
    with changing(name, "publication.settle", target=target) as (tx, row):
        publishing.settle(
            tx, row.workflow_id, publication, sent=outcome is Settlement.SENT, external_id=external_id
        )
    typer.echo(f"publication {publication}: {outcome}")


def unpublish(
    name: Annotated[str, typer.Argument(help="the slug of a site or flow", metavar="WORKFLOW")],
    publication: Annotated[
        list[int] | None, typer.Argument(help="their numbers, as `publications` shows them")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="all that targets have")] = False,
) -> None:
    """Take publications back from their targets, through the control API, which has the connections."""
    from pressroom.engine.publishing import ledger as publishing

    if everything is bool(publication):
        raise typer.BadParameter("name publications, or --all")
    with open_tx(name) as (tx, row):
        publications = {each.id: each for each in publishing.publications(tx, row.workflow_id)}
    there = [each.id for each in publications.values() if each.there]
    chosen = there if everything else publication or []
    if unknown := [number for number in chosen if number not in publications]:
        raise PermanentError(f"{name} has no publication {unknown[0]}: see `pressroom publications {name}`")
    failed = 0
    with open_airflow() as (api, _):
        for number in chosen:
            content, target = publications[number].content, publications[number].target
            try:
                api.pressroom("POST", f"publications/{public_id(PUBLICATION, number)}/unpublish")
            except (RunConflict, TransientError) as error:  # the others are not held up
                failed += 1
                typer.echo(f"publication {number} is still there: {error}", err=True)
            else:
                typer.echo(f"publication {number} is taken back: {content} on {target}")
    if failed:
        raise typer.Exit(1)


def _state(change: StrategyChange) -> str:
    if change.reverted:
        return f"reverted by {change.reverted_by}"
    return "in force" if change.in_force else "replaced by a later one"


def _weights(weights: object) -> str:
    if not isinstance(weights, dict):
        return ""
    best = sorted(weights.items(), key=lambda pair: -pair[1])[:3]
    return ", ".join(f"{level} {weight:.2f}" for level, weight in best) or "no preference"
