"""Commands on the database's schema and on what it holds: migrate, apply, get, import."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from pressroom import settings
from pressroom.cli.common import open_airflow, open_store, open_workflow, operator, show
from pressroom.definitions import applying, loading
from pressroom.definitions.importing import import_keywords
from pressroom.definitions.keyword_lists import read_list
from pressroom.domain.definitions import Site, dump
from pressroom.domain.errors import (
    ConfigurationError,
    DefinitionError,
    PermanentError,
    PressroomError,
    TransientError,
)
from pressroom.domain.grants.access import GrantKind
from pressroom.domain.kinds import KINDS, AnyDefinition
from pressroom.domain.text import did_you_mean
from pressroom.engine import audit
from pressroom.pipelines.registry import DAG_TAG
from pressroom.store import workflows
from pressroom.store.migrate import migrate as run_migrations

KIND_NAMES = {
    f"{spelling}{ending}": name
    for name, kind in KINDS.items()
    for spelling in (kind.word, name.lower())
    for ending in ("", "s")
}
BAD_ROWS_SHOWN = 20


def _schedule(site: Site) -> str:
    schedule = site.automation.schedule
    return f"{schedule} {site.automation.timezone}" if schedule else "by hand"


_WORKFLOW = {name: attrgetter(name) for name in ("slug", "name", "account", "status")}
COLUMNS: dict[str, dict[str, Callable[[Any], object]]] = {
    "Account": {
        "slug": attrgetter("slug"), "name": attrgetter("name"), "members": lambda each: len(each.members)
    },
    "BrandContext": {name: attrgetter(name) for name in ("account", "slug", "name")},
    "Site": {**_WORKFLOW, "schedule": _schedule, "brand": attrgetter("brand")},
    "Mission": {
        **_WORKFLOW, "platforms": lambda each: ", ".join(each.platforms),
        "cycle": lambda each: f"{each.cycle_days} days", "brand": attrgetter("brand"),
    },
    "Flow": {**_WORKFLOW, "steps": lambda each: " → ".join(step.name for step in each.steps)},
}  # fmt: skip
"""What `get` shows of each kind: column → its cell."""

import_app = typer.Typer(help="Bring items in from files.", no_args_is_help=True)


class Output(StrEnum):
    """How `get` writes."""

    TABLE = "table"
    YAML = "yaml"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("migrate")(migrate)
    app.command("apply")(apply)
    app.command("get")(get)
    app.add_typer(import_app, name="import")


def migrate() -> None:
    """Create Pressroom's database if it is missing, and bring it to the current schema."""
    applied = run_migrations(settings.database_url())
    typer.echo(f"applied {', '.join(applied)}" if applied else "the schema is current")


def apply(
    path: Annotated[
        Path, typer.Option("-f", "--file", help="a YAML file, or a directory of them (recursive)")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show what would change, and change nothing")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="also disable sites, pause missions and delete unused brand contexts that the files leave"
            " out of the accounts they name",
        ),
    ] = False,
) -> None:
    """Bring the database to the state of the files, all of it or nothing, and show the difference."""
    located = loading.load(path)
    with open_store() as store:
        changes = applying.apply(store, located, dry_run=dry_run, prune=prune, actor=operator())
    for change in changes:
        if change.action is not applying.Action.UNCHANGED:
            typer.echo(
                f"{change.action} {change.kind} {change.slug}{f' ({change.note})' if change.note else ''}"
            )
            for line in change.diff:
                typer.echo(f"  {line}")
    counts = {action: sum(change.action is action for change in changes) for action in applying.Action}
    summary = ", ".join(f"{count} {action.done}" for action, count in counts.items() if count)
    typer.echo(f"{summary}{' (dry run: nothing was written)' if dry_run else ''}")
    if not dry_run and counts[applying.Action.UNCHANGED] < len(changes):
        _show_soon()
    for warning in _missing_connections(located):
        typer.echo(warning, err=True)


def _show_soon() -> None:
    """Have what changed be DAGs in a moment. An Airflow that is away reads it at its own time."""
    with suppress(PressroomError), open_airflow() as (api, _):
        api.parse_dag_files(DAG_TAG)


def _missing_connections(located: Sequence[loading.Located]) -> Iterator[str]:
    """Connections that active flows need and Airflow does not know, each with its line and the remedy.

    Warnings only: connections of a secrets backend or of a worker's environment are not visible here.
    """
    needed = {
        named.name: f"{each.file}:{line}"
        for each in located
        if each.definition.kind == "Flow" and each.definition.status == "active"
        for line, named in reversed(each.named)
        if named.kind is GrantKind.CONNECTION
        and named.path[0] in ("steps", "trigger")
        and f"AIRFLOW_CONN_{named.name.upper()}" not in os.environ
    }
    if not needed:
        return
    try:
        with open_airflow() as (api, _):
            missing = [name for name in needed if not api.connection_exists(name)]
    except (ConfigurationError, TransientError) as error:
        yield f"note: whether the flows' connections exist was not checked: {error}"
        return
    for name in missing:
        yield (
            f"warning: {needed[name]}: Airflow's database has no connection {name!r}: add it to"
            f" airflow_settings.yaml or in Airflow's UI, or set AIRFLOW_CONN_{name.upper()} everywhere"
        )


def get(
    kind: Annotated[str, typer.Argument(help="accounts, brands, sites, missions or flows")],
    slug: Annotated[str | None, typer.Argument(help="one of them; default: all")] = None,
    output: Annotated[
        Output, typer.Option("-o", "--output", help="yaml can be applied again")
    ] = Output.TABLE,
) -> None:
    """Show definitions as the database holds them."""
    name = KIND_NAMES.get(kind.lower())
    if name is None:
        raise typer.BadParameter(f"{kind!r} is not known{did_you_mean(kind.lower(), KIND_NAMES)}")
    definitions = _stored(name)
    if slug is not None:
        slugs = {definition.slug for definition in definitions}
        if slug not in slugs:
            raise PermanentError(f"there is no {name} {slug!r}{did_you_mean(slug, slugs)}")
        definitions = [definition for definition in definitions if definition.slug == slug]
    if output is Output.TABLE:
        columns = COLUMNS[name]
        show(list(columns), [[cell(each) for cell in columns.values()] for each in definitions])
        return
    # kind first, as people write it
    data = [{"kind": definition.kind} | dump(definition) for definition in definitions]
    if output is Output.JSON:
        typer.echo(json.dumps(data[0] if slug and len(data) == 1 else data, indent=2, ensure_ascii=False))
    else:
        typer.echo(yaml.safe_dump_all(data, sort_keys=False, allow_unicode=True), nl=False)


@import_app.command("keywords")
def keywords(
    site: Annotated[str, typer.Argument(help="the site's slug")],
    file: Annotated[Path, typer.Argument(help="CSV: keyword, and if wanted volume, difficulty, intent")],
) -> None:
    """Add a keyword list to a site. Encoding and delimiter are detected, duplicates skipped and counted.

    It goes in by chunks. Cut off and imported again, it goes on where it was.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DefinitionError([f"{file}: cannot be read: {error.strerror}"]) from None
    with open_workflow(site, "site") as (store, row):
        listed = read_list(data, str(file))
        report = import_keywords(
            store, row.account_id, row.workflow_id, listed, audit.by(operator()),
            bytes=len(data), file=file.name, workflow=row.name,
        )  # fmt: skip
    typer.echo(f"{report.added} added, {report.duplicates} duplicates skipped, {report.bad_rows} bad rows")
    if report.ignored_columns:
        typer.echo(f"columns not used: {', '.join(report.ignored_columns)}")
    for bad in report.bad[:BAD_ROWS_SHOWN]:
        typer.echo(f"{file}:{bad.line}: {bad.reason}", err=True)
    if report.bad_rows > BAD_ROWS_SHOWN:
        lines = ", ".join(str(bad.line) for bad in report.bad[BAD_ROWS_SHOWN:])
        more = report.bad_rows - len(report.bad)
        typer.echo(f"bad rows also in lines {lines}{f', and in {more} more' if more else ''}", err=True)


def _stored(name: str) -> Sequence[AnyDefinition]:
    with open_store() as store, store.transaction() as tx:
        if name == "Account":
            return [row.account for row in workflows.all_accounts(tx)]
        if name == "BrandContext":
            return workflows.all_brands(tx)
        return [row.workflow for row in workflows.all_workflows(tx, KINDS[name].word)]
