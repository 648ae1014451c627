"""Commands on what accounts may name of the installation's: grant, revoke, grants."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated

import typer

from pressroom.cli.common import open_store, operator, show
from pressroom.definitions import granting
from pressroom.domain.definitions import Grants
from pressroom.domain.grants.access import Name
from pressroom.store import grants as granted
from pressroom.store.database import Tx
from pressroom.store.workflows import AccountRow, account_by_slug

AccountName = Annotated[str | None, typer.Argument(help="the account's slug", metavar="[ACCOUNT]")]
Every = Annotated[bool, typer.Option("--every-account", help="share it with every account")]
Connection = Annotated[list[str], typer.Option(help="an Airflow connection; can be repeated, as all others")]
Host = Annotated[list[str], typer.Option(help="a private host that flows may fetch from: host or host:port")]
Files = Annotated[list[str], typer.Option(help="a folder that flows may read, such as s3://bucket/drafts")]
Asset = Annotated[list[str], typer.Option(help="the URI of an Airflow asset that may start flows")]
Everything = Annotated[bool, typer.Option("--everything", help="whatever there is, also what others have")]

Change = Callable[[Tx, AccountRow | None, Collection[Name], str], list[Name]]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("grant")(grant)
    app.command("revoke")(revoke)
    app.command("grants")(show_grants)


def grant(
    account: AccountName = None,
    every: Every = False,
    connection: Connection = [],  # noqa: B006  # typer's way to say "none"
    host: Host = [],  # noqa: B006
    files: Files = [],  # noqa: B006
    asset: Asset = [],  # noqa: B006
    everything: Everything = False,
) -> None:
    """Let an account name connections, private hosts, folders and assets; --every-account: share them."""
    names = _names(connection, host, files, asset, everything)
    change_grants(account, names, granting.grant, "granted", "has it already", every=every)


def revoke(
    account: AccountName = None,
    every: Every = False,
    connection: Connection = [],  # noqa: B006
    host: Host = [],  # noqa: B006
    files: Files = [],  # noqa: B006
    asset: Asset = [],  # noqa: B006
    everything: Everything = False,
) -> None:
    """Take grants back. It counts at once, also for runs that are on."""
    names = _names(connection, host, files, asset, everything)
    change_grants(account, names, granting.take_back, "revoked", "was not granted it", every=every)


def show_grants(account: AccountName = None) -> None:
    """Show what accounts may name. What is shared has no account."""
    with open_store() as store, store.transaction() as tx:
        if account is not None:
            account_by_slug(tx, account)
        rows = granted.listed(tx, account)
    show(
        ["account", "kind", "name", "granted by", "at"],
        [
            (
                row["account"] or "(every account)",
                row["kind"],
                row["name"],
                row["granted_by"],
                row["granted_at"],
            )
            for row in rows
        ],
    )


def change_grants(
    account: str | None, names: frozenset[Name], change: Change, done: str, nothing: str, *, every: bool
) -> None:
    """Make a change that is on record, and say what it was."""
    if (account is None) is not every:
        raise typer.BadParameter("name an account, or give --every-account")
    if not names:
        raise typer.BadParameter("say what: --connection, --host, --files, --asset or --everything")
    with open_store() as store, store.transaction() as tx:
        row = None if account is None else account_by_slug(tx, account)
        changed = change(tx, row, names, operator())
    whom = account or "every account"
    for kind, name in changed:
        typer.echo(f"{done}: {whom}: {kind} {name}".rstrip())
    if not changed:
        typer.echo(f"unchanged: {whom} {nothing}")


def _names(
    connection: list[str], host: list[str], files: list[str], asset: list[str], everything: bool
) -> frozenset[Name]:
    return Grants(
        everything=everything, connections=connection, hosts=host, file_roots=files, assets=asset
    ).names
