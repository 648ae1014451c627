"""Credits and cents: reserved before they are used, entered once, never changed.

Credits are what an account pays for finished items: reserved before work on an item begins, charged in the
transaction that saves it. Cents are what providers charge for calls: held before the call and entered when it
returns, even if the item fails, because they are spent.

``Tx`` arguments are open transactions of the scope's account. The reservation triggers lock the account's
row, so two runs cannot both take the last credit.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pressroom.domain.errors import CapHeld, CapReached, InsufficientCredits
from pressroom.store.database import Tx


@dataclass(frozen=True)
class Caps:
    """Caps in cents; None for no cap."""

    run: Decimal | None = None
    workflow_month: Decimal | None = None
    workflow_total: Decimal | None = None
    account_month: Decimal | None = None
    account_total: Decimal | None = None

    @property
    def any(self) -> bool:
        """Whether there is a cap."""
        return any(cap is not None for cap in vars(self).values())


@dataclass(frozen=True)
class CostScope:
    """The account, workflow, run, stage and item that a call or a charge is booked to."""

    account_id: int
    workflow_id: int
    run_id: int
    stage: str
    item: str
    caps: Caps = Caps()

    @property
    def key(self) -> dict[str, object]:
        """The scope as statement parameters."""
        return {"workflow": self.workflow_id, "run": self.run_id, "stage": self.stage, "item": self.item}


def grant(tx: Tx, credits: Decimal, *, entry_key: str, note: str = "") -> bool:
    """Add credits to the account. False when this key was entered before."""
    return tx.run("ledger_grant", credits=credits, entry_key=entry_key, note=note) == 1


def balance(tx: Tx) -> tuple[Decimal, Decimal]:
    """The account's credits: (balance, of which reserved)."""
    row = tx.rows("account_balance")[0]
    return row["balance"], row["reserved"]


def reserve(tx: Tx, scope: CostScope, credits: Decimal) -> None:
    """Reserve credits for the item. A second reservation of the item in the run replaces the first.

    Raises InsufficientCredits.
    """
    have, reserved = balance(tx)
    if credits and have - reserved + _own(tx, scope) < credits:
        raise InsufficientCredits(
            f"{credits} credits are needed for {scope.stage} and {have - reserved} are available"
        )
    # Another transaction may reserve in between: the table's check decides.
    tx.run("reserve_credits", credits=credits, **scope.key)


def settle(tx: Tx, scope: CostScope, credits: Decimal) -> None:
    """Charge a finished item and end its reservation. Called in the transaction that saves the item."""
    tx.run("release_reservation", **scope.key)
    if credits:
        tx.run(
            "ledger_charge",
            credits=-credits,
            entry_key=f"{scope.workflow_id}:{scope.stage}:{scope.item}",
            **scope.key,
        )


def release(tx: Tx, scope: CostScope) -> None:
    """End an unfinished item's reservation without a charge."""
    tx.run("release_reservation", **scope.key)


def release_run(tx: Tx, run_id: int) -> int:
    """End every reservation of a run. Returns how many there were."""
    return tx.run("release_run_reservations", run=run_id)


def refund_run(tx: Tx, run_id: int) -> Decimal:
    """Refund every charge of the run, once. Returns the credits that it charged in all."""
    refunded: Decimal = tx.value("refund_run", run=run_id)
    return refunded


def hold_cents(tx: Tx, scope: CostScope, cents: Decimal) -> None:
    """Hold what the next call may cost.

    Raises CapReached when a cap would be exceeded; CapHeld when calls in flight alone stand in the way.
    """
    if scope.caps.any:
        tx.run("lock_account")  # one decision at a time: two calls must not both take the last cent
        sums = tx.rows("spent_cents", workflow=scope.workflow_id, run=scope.run_id)[0]
        held_back: list[str] = []
        for name, cap in vars(scope.caps).items():
            if cap is None:
                continue
            spent, held = sums[name], sums[f"held_{name.partition('_')[0]}"]
            text = (
                f"the {name.replace('_', ' ')} cap of {cap} cents is reached: {spent:.4f} spent,"
                f" {held:.4f} held for calls in flight, and the next call may cost {cents:.4f}"
            )
            if spent + cents > cap or spent >= cap:
                raise CapReached(text)
            if spent + held + cents > cap or spent + held >= cap:
                held_back.append(text)
        if held_back:
            raise CapHeld(held_back[0])
    if cents:
        tx.run("hold_cents", cents=cents, **scope.key)


def book_cost(tx: Tx, scope: CostScope, cents: Decimal, *, held: Decimal, entry_key: str, note: str) -> None:
    """Enter the cost of a call and give back what was held for it. Units: cents."""
    if held:
        tx.run("hold_cents", cents=-held, **scope.key)
    if cents:
        tx.run("ledger_cost", cents=cents, entry_key=entry_key, note=note, **scope.key)


def _own(tx: Tx, scope: CostScope) -> Decimal:
    own: Decimal | None = tx.value("own_reservation", **scope.key)
    return own or Decimal(0)
