"""Commands on an account's credits."""

from __future__ import annotations

import uuid
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pressroom.cli.common import open_store, operator, show
from pressroom.domain.errors import PermanentError
from pressroom.domain.text import did_you_mean
from pressroom.engine import audit
from pressroom.engine.money import ledger
from pressroom.engine.runs import reports
from pressroom.store.database import Tx
from pressroom.store.workflows import account_by_slug, workflow


class ShowByDefault(TyperGroup):
    """`credits NAME` means `credits show NAME`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=ShowByDefault,
    help="Show an account's credits (`credits ACCOUNT|SITE|MISSION`), or grant some.",
    no_args_is_help=True,
)


@app.command("show")
def show_credits(
    name: Annotated[str, typer.Argument(help="an account's slug, or one of its sites' or missions'")],
) -> None:
    """Show what an account has, what runs have set aside, and what providers took."""
    with open_store() as store:
        with store.transaction() as tx:
            account_id, slug = _account(tx, name)
        with store.transaction(account_id) as tx:
            balance = reports.balance(tx)
    show(
        ["account", "balance", "reserved", "available", "spent cents"],
        [(slug, balance.balance, balance.reserved, balance.available, f"{balance.spent_cents:.4f}")],
    )


@app.command("grant")
def grant(
    account: Annotated[str, typer.Argument(help="the account's slug")],
    amount: Annotated[str, typer.Argument(metavar="CREDITS", help="how many credits, up to two decimals")],
    note: Annotated[str, typer.Option(help="why, for the ledger")] = "",
) -> None:
    """Add credits to an account."""
    granted = _amount(amount)
    with open_store() as store:
        with store.transaction() as tx:
            row = account_by_slug(tx, account)
        with store.transaction(row.account_id) as tx:
            before = reports.balance(tx)
            ledger.grant(tx, granted, entry_key=f"grant:{uuid.uuid4()}", note=note or "granted by command")
            after = reports.balance(tx)
            audit.note(
                tx, operator(), "credits.grant", f"account:{account}", credits=str(granted), note=note,
                before={"balance": str(before.balance)}, after={"balance": str(after.balance)},
            )  # fmt: skip
    typer.echo(f"{granted} credits granted to {account}: the balance is {after.balance}")


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is not a number of credits") from None
    if not amount.is_finite() or not 0 < amount < 10**10 or amount != round(amount, 2):
        raise typer.BadParameter("credits are more than 0, with up to two decimals")
    return amount


def _account(tx: Tx, name: str) -> tuple[int, str]:
    """(id, slug) of the account with that slug, else of the account whose site or mission has it."""
    accounts = tx.rows("read_accounts")
    for row in accounts:
        if row["slug"] == name:
            return row["id"], name
    slugs = {row["slug"] for row in tx.rows("workflow_slugs")}
    if name.rpartition("/")[2] not in slugs:
        names = [*(row["slug"] for row in accounts), *slugs]
        raise PermanentError(f"there is no account, site or mission {name!r}{did_you_mean(name, names)}")
    owner = workflow(tx, name)
    return owner.account_id, owner.account.slug
