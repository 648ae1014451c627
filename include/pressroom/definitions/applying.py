"""Definitions → rows: plan the changes, and make them all in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pressroom.definitions import granting
from pressroom.definitions.loading import Located
from pressroom.definitions.notices import named, wrong_channel
from pressroom.definitions.trial import LONGEST_SECONDS, SHARED, Trial
from pressroom.domain.definitions import Account, BrandContext, Definition, Grants, Rows, Site, Sizes, dump
from pressroom.domain.errors import DefinitionError
from pressroom.domain.flows import Flow
from pressroom.domain.grants.access import EVERYTHING, NOTHING, Access, GrantKind, Name
from pressroom.domain.grants.named import refused
from pressroom.domain.kinds import KINDS, WORKFLOW_KINDS, AnyDefinition, Workflow, word_of
from pressroom.domain.text import did_you_mean, to_json
from pressroom.engine import audit
from pressroom.engine.money import ledger
from pressroom.pipelines.site import approval
from pressroom.store import grants, notices
from pressroom.store.database import Store, Tx
from pressroom.store.quotas import gates_of, must_have_room, must_not_outgrow, quotas_of
from pressroom.store.workflows import all_accounts, all_brands, all_workflows, log_unreadable

OPENING = "opening"


class SlugTaken(DefinitionError):
    """A workflow's slug names its DAG, and another workflow of the kind has it."""


class Action(StrEnum):
    """What applying does to a definition."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    DISABLE = "disable"
    PAUSE = "pause"
    DELETE = "delete"
    KEEP = "keep"

    @property
    def done(self) -> str:
        """The action in the past tense, as in "created"."""
        irregular = {Action.UNCHANGED: "unchanged", Action.KEEP: "kept"}
        return irregular.get(self, f"{self.removesuffix('e')}ed")


@dataclass(frozen=True)
class Change:
    """The change of one definition. ``diff``: lines that start with ``-`` (before) or ``+`` (after)."""

    action: Action
    kind: str
    slug: str
    account: str
    diff: tuple[str, ...] = ()
    note: str = ""
    definition: AnyDefinition | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Current:
    """What the database holds. Keys: (account, slug) of brand contexts, (kind, slug) of workflows.

    ``live``: workflows with a live run; ``shared``: what every account may name.
    """

    accounts: Mapping[str, Account] = field(default_factory=dict)
    account_ids: Mapping[str, int] = field(default_factory=dict)
    brands: Mapping[tuple[str, str], BrandContext] = field(default_factory=dict)
    workflows: Mapping[tuple[str, str], Workflow] = field(default_factory=dict)
    live: frozenset[tuple[str, str]] = frozenset()
    shared: frozenset[Name] = frozenset()


def apply(
    store: Store,
    definitions: Sequence[Located],
    *,
    dry_run: bool = False,
    prune: bool = False,
    actor: str = "cli",
    trial: Trial = SHARED,
) -> list[Change]:
    """Bring the database to the state of the files. Returns the changes, also those of a dry run.

    ``prune`` also changes what the files leave out of the accounts that they name: a site is disabled and a
    mission paused (what they made and their ledger stay), a brand context is deleted unless a workflow uses
    it. Accounts stay. Each change is on record in the audit log under ``actor``. Raises DefinitionError when
    a reference leads nowhere, another account has a workflow's slug, or ``trial`` finds that Airflow could
    not hold a workflow that would change.
    """
    with store.transaction() as tx:
        changes = plan(definitions, read_current(tx), prune=prune)
    tried = _try(changes, definitions, trial)
    with store.transaction() as tx:
        tx.value("lock_definitions")  # a concurrent apply would plan with rows that this one changes
        current = read_current(tx)
        changes = plan(definitions, current, prune=prune)
        _try(changes, definitions, trial, tried)
        if not dry_run:
            _write(tx, changes, dict(current.account_ids), actor)
    return changes


def _try(
    changes: Sequence[Change],
    definitions: Sequence[Located],
    trial: Trial,
    tried: frozenset[tuple[str, str]] = frozenset(),
) -> frozenset[tuple[str, str]]:
    """Try the workflows that change, except those tried before. Returns the tried ones. Raises
    DefinitionError.
    """
    changing = {
        _key(change.definition)
        for change in changes
        if change.action is not Action.UNCHANGED and isinstance(change.definition, Workflow)
    } - tried
    those = [
        located
        for located in definitions
        if isinstance(located.definition, Workflow) and _key(located.definition) in changing
    ]
    wrong = trial.problems([located.definition for located in those], wait=LONGEST_SECONDS)
    problems = [
        located.problem(".".join(map(str, each.path)) or "definition", each.message)
        for located, some in zip(those, wrong, strict=True)
        for each in some
    ]
    if problems:
        raise DefinitionError(problems)
    return tried | changing


def read_current(tx: Tx) -> Current:
    """All definitions in the database. A SYSTEM transaction.

    A workflow that cannot be read is left out: applying a good one in its place mends it, and it stops nobody
    from applying another.
    """
    accounts = all_accounts(tx)
    return Current(
        accounts={row.account.slug: row.account for row in accounts},
        account_ids={row.account.slug: row.account_id for row in accounts},
        brands={(brand.account, brand.slug): brand for brand in all_brands(tx)},
        workflows={
            (kind, row.workflow.slug): row.workflow
            for kind in WORKFLOW_KINDS
            for row in all_workflows(tx, kind, report=log_unreadable)
        },
        live=frozenset((row["kind"], row["slug"]) for row in tx.rows("live_workflows")),
        shared=grants.shared(tx),
    )


def plan(definitions: Sequence[Located], current: Current, *, prune: bool = False) -> list[Change]:
    """The changes in the order in which they can be made. Raises DefinitionError."""
    access = _access_after(definitions, current)
    problems = [
        problem
        for located in definitions
        for problem in _wrong_references(located, definitions, current, access)
    ]
    if problems:
        raise DefinitionError(problems)
    changes: list[Change] = []
    for kind in KINDS:
        changes += [_change(each.definition, current) for each in definitions if each.definition.kind == kind]
    if prune:
        changes += _prune(definitions, current)
    return changes


def _access_after(definitions: Sequence[Located], current: Current) -> dict[str, Access]:
    """What each account may name when the definitions are applied."""
    granted = {slug: account.grants for slug, account in current.accounts.items()}
    for each in definitions:
        if isinstance(each.definition, Account):
            slug = each.definition.slug
            granted[slug] = granted.get(slug) if each.definition.grants is None else each.definition.grants
    access = {slug: Access(slug, own.names if own else frozenset()) for slug, own in granted.items()}
    if len(access) == 1:
        [(slug, only)] = access.items()
        access[slug] = only if only.names else only.with_names({EVERYTHING})
    elif len(current.accounts) == 1:
        [slug] = current.accounts
        if not access[slug].names:
            access[slug] = access[slug].with_names(granting.named_by(current.workflows.values(), slug))
            access[slug] = access[slug].with_names(named(current.accounts[slug].notices or ()))
    sites = [site for site in current.workflows.values() if isinstance(site, Site)]
    sites += [each.definition for each in definitions if isinstance(each.definition, Site)]
    for site in sites:
        if site.account in access:
            own = {(GrantKind.ASSET, site.approved_asset)}
            access[site.account] = access[site.account].with_names(own)
    return {slug: each.with_names(current.shared) for slug, each in access.items()}


def _wrong_references(
    located: Located,
    definitions: Sequence[Located],
    current: Current,
    access: Mapping[str, Access],
) -> Iterator[str]:
    definition = located.definition
    if isinstance(definition, Account):
        slugs = {
            workflow.slug for workflow in current.workflows.values() if workflow.account == definition.slug
        }
        yield from _wrong_channels(located, definition, access, slugs | _slugs(definitions, definition.slug))
        return
    accounts = {each.definition.slug for each in definitions if isinstance(each.definition, Account)} | set(
        current.accounts
    )
    if definition.account not in accounts:
        yield located.problem(
            "account",
            f"there is no account {definition.account!r}{did_you_mean(definition.account, accounts)}",
        )
    if isinstance(definition, BrandContext):
        return
    stored = current.workflows.get(_key(definition))
    if stored is not None and stored.account != definition.account:
        yield located.problem("slug", _taken(definition))
    brands = {b.slug for b in _brands(definitions) if b.account == definition.account}
    brands |= {slug for account, slug in current.brands if account == definition.account}
    if definition.brand is not None and definition.brand not in brands:
        yield located.problem(
            "brand",
            f"the account {definition.account!r} has no brand context {definition.brand!r}"
            + did_you_mean(definition.brand, brands),
        )
    if definition.account in access:
        for path, text in refused(access[definition.account], definition, stored):
            yield located.problem_at(path, text)


def _wrong_channels(
    located: Located, account: Account, access: Mapping[str, Access], slugs: set[str]
) -> Iterator[str]:
    for channel in account.notices or ():
        wrong = wrong_channel(channel, access.get(account.slug, NOTHING), account.members, slugs)
        if wrong is not None:
            yield located.problem("notices", f"{channel.name}: {wrong[0]}: {wrong[1]}")


def _slugs(definitions: Sequence[Located], account: str) -> set[str]:
    workflows = [each.definition for each in definitions if isinstance(each.definition, Workflow)]
    return {workflow.slug for workflow in workflows if workflow.account == account}


def _key(workflow: Workflow) -> tuple[str, str]:
    return word_of(workflow), workflow.slug


def _taken(workflow: Workflow) -> str:
    return f"the {word_of(workflow)} {workflow.slug!r} belongs to another account: choose another slug"


def _brands(definitions: Sequence[Located]) -> list[BrandContext]:
    return [each.definition for each in definitions if isinstance(each.definition, BrandContext)]


def _change(new: AnyDefinition, current: Current) -> Change:
    old: AnyDefinition | None
    if isinstance(new, Account):
        account, old = new.slug, current.accounts.get(new.slug)
    elif isinstance(new, BrandContext):
        account, old = new.account, current.brands.get((new.account, new.slug))
    else:
        account, old = new.account, current.workflows.get(_key(new))
    if isinstance(new, Account):
        new = _as_they_are(new, old if isinstance(old, Account) else None)
    if old is None:
        return Change(Action.CREATE, new.kind, new.slug, account, _diff({}, _set_keys(new)), "", new)
    if old == new:
        return Change(Action.UNCHANGED, new.kind, new.slug, account, definition=new)
    note = ""
    if (
        isinstance(new, Account)
        and isinstance(old, Account)
        and old.opening_credits
        and (new.opening_credits != old.opening_credits)
    ):
        note = f"opening credits are granted once: use `pressroom credits grant {new.slug} N` for more"
    return Change(
        Action.UPDATE, new.kind, new.slug, account, _diff(_flat(dump(old)), _flat(dump(new))), note, new
    )


def _as_they_are(new: Account, old: Account | None) -> Account:
    """With the grants and channels that there are, where the definition says nothing about them."""
    kept = new.grants if new.grants is not None or old is None else old.grants
    named = Grants.of(kept.names) if kept is not None and kept.names else None
    channels = new.notices if new.notices is not None or old is None else old.notices
    ordered = sorted(channels or (), key=lambda each: each.name)
    return new.model_copy(update={"grants": named, "notices": ordered or None})


def _prune(definitions: Sequence[Located], current: Current) -> Iterator[Change]:
    accounts = {_account_of(each.definition) for each in definitions}
    declared = {
        _key(each.definition): each.definition
        for each in definitions
        if not isinstance(each.definition, Account | BrandContext)
    }
    declared_brands = {(brand.account, brand.slug) for brand in _brands(definitions)}
    for key, workflow in current.workflows.items():
        if workflow.account in accounts and key not in declared and workflow.status == "active":
            status = KINDS[workflow.kind].retired
            action = Action.PAUSE if status == "paused" else Action.DISABLE
            note = "its live run goes on to its end" if key in current.live else ""
            diff = ('- status: "active"', f'+ status: "{status}"')
            yield Change(action, workflow.kind, workflow.slug, workflow.account, diff, note)
    # The row of a pruned workflow stays, and so does the brand that it refers to.
    users = {
        (workflow.account, workflow.brand): f"{word_of(workflow)} {workflow.slug}"
        for workflow in {**current.workflows, **declared}.values()
        if workflow.brand
    }
    for account, slug in current.brands:
        if account in accounts and (account, slug) not in declared_brands:
            user = users.get((account, slug))
            note = f"the {user} uses it" if user else ""
            yield Change(Action.KEEP if user else Action.DELETE, "BrandContext", slug, account, note=note)


def _account_of(definition: AnyDefinition) -> str:
    return definition.slug if isinstance(definition, Account) else definition.account


def _set_keys(definition: Definition) -> dict[str, str]:
    return _flat(definition.model_dump(mode="json", exclude_defaults=True))


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in data.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = to_json(value)
    return flat


def _diff(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    lines = []
    for key in [*new, *(key for key in old if key not in new)]:
        if old.get(key) != new.get(key):
            lines += [f"- {key}: {old[key]}"] if key in old else []
            lines += [f"+ {key}: {new[key]}"] if key in new else []
    return tuple(lines)


def _write(tx: Tx, changes: Sequence[Change], account_ids: dict[str, int], actor: str) -> None:
    added: set[tuple[str, Rows]] = set()
    accounts = {change.account for change in changes if isinstance(change.definition, Flow)}
    gates = {name: gates_of(tx.for_account(account_ids[name])) for name in accounts & account_ids.keys()}
    for change in changes:
        if change.action in (Action.UNCHANGED, Action.KEEP):
            continue
        if isinstance(change.definition, Account):
            if change.action is Action.CREATE:
                granting.before_another(tx, actor)
            account_ids[change.slug] = _write_account(tx, change.definition, actor)
            _note(tx.for_account(account_ids[change.slug]), actor, change)
            continue
        own = tx.for_account(account_ids[change.account])
        _note(own, actor, change)
        if change.definition is not None:
            must_fit(own, change.definition)
            write(own, change.definition)
            if change.action is Action.CREATE:
                added.add((change.account, rows_of(change.definition)))
        elif change.action is Action.DELETE:
            own.run("delete_brand", slug=change.slug)
        else:
            own.run(KINDS[change.kind].retire, slug=change.slug)
            own.run("set_schedule", kind=KINDS[change.kind].word, slug=change.slug, schedule=None)
    for account, rows in sorted(added):
        must_have_room(tx.for_account(account_ids[account]), rows)
    for account in sorted(accounts):
        must_not_outgrow(tx.for_account(account_ids[account]), gates.get(account, 0))


def create_account(store: Store, account: Account, actor: str) -> int:
    """Make an account, on record in the audit log under ``actor``. Returns its id. Raises SlugTaken."""
    with store.transaction() as tx:
        tx.value("lock_definitions")
        if any(row["slug"] == account.slug for row in tx.rows("read_accounts")):
            raise SlugTaken([f"Account {account.slug}: slug: there is such an account: choose another slug"])
        change = _change(account, Current())
        granting.before_another(tx, actor)
        number = _write_account(tx, account, actor)
        _note(tx.for_account(number), actor, change)
    return number


def rows_of(definition: BrandContext | Workflow) -> Rows:
    """The quota that bounds how many of its kind an account has."""
    rows: dict[str, Rows] = {"BrandContext": "brand_contexts", "Site": "sites", "Mission": "missions"}
    return rows.get(definition.kind, "flows")


def must_fit(own: Tx, definition: BrandContext | Workflow) -> None:
    """Raises QuotaExceeded when the account may have none as large."""
    what: Sizes = "brand_bytes" if isinstance(definition, BrandContext) else "definition_bytes"
    quotas_of(own).must_fit(what, len(to_json(dump(definition)).encode()))


def _note(own: Tx, actor: str, change: Change) -> None:
    word = KINDS[change.kind].word
    audit.note(
        own, actor, f"{word}.{change.action}", f"{word}:{change.slug}",
        before=[line[2:] for line in change.diff if line.startswith("-")],
        after=[line[2:] for line in change.diff if line.startswith("+")],
    )  # fmt: skip


def _write_account(tx: Tx, account: Account, actor: str) -> int:
    data = dump(account) | {"grants": None, "notices": None}  # they have tables of their own
    account_id: int = tx.value(
        "save_account", slug=account.slug, title=account.name, definition=to_json(data)
    )
    grants.replace(tx, account_id, account.grants.names if account.grants else (), actor)
    own = tx.for_account(account_id)
    own.run("clear_members")
    if account.members:
        own.many(
            "add_member", [{"username": name, "role": role.value} for name, role in account.members.items()]
        )
    own.run("api_keys_of_removed", by=actor)
    own.run("links_of_removed", by=actor)
    notices.replace(own, account.notices or ())
    if account.opening_credits:
        ledger.grant(own, account.opening_credits, entry_key=OPENING, note="opening credits")
    return account_id


def write(own: Tx, definition: BrandContext | Workflow) -> None:
    """Store a brand context, site, mission or flow, in a transaction of its account. Raises SlugTaken."""
    if isinstance(definition, BrandContext):
        own.run("save_brand", slug=definition.slug, definition=to_json(dump(definition)))
        return
    workflow = definition
    kind, slug = _key(workflow)
    workflow_id = own.value("save_workflow", kind=kind, slug=slug)
    if workflow_id is None:
        raise SlugTaken([f"{workflow.kind} {slug}: slug: {_taken(workflow)}"])
    own.run("set_schedule", kind=kind, slug=slug, schedule=workflow.schedule_text)
    data = dump(workflow)
    automation = data.pop("automation", None)  # a site's has a table of its own
    own.run(
        WORKFLOW_KINDS[kind].save, workflow=workflow_id, slug=slug, status=workflow.status,
        brand=workflow.brand, definition=to_json(data),
    )  # fmt: skip
    if automation is not None:
        automation["batch_sizes"] = to_json(automation["batch_sizes"])
        own.run("save_automation", site=workflow_id, **automation)
    if isinstance(workflow, Site):
        approval.void_changed(own, workflow_id, workflow)
