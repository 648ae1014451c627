"""Definitions applied to a real database: created, changed, left alone, pruned, refused."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from pressroom.definitions import loading
from pressroom.definitions.applying import Action, Change, apply
from pressroom.domain.definitions import Role
from pressroom.domain.errors import DefinitionError, PermanentError
from pressroom.engine.runs import reports
from pressroom.store import workflows as reading
from pressroom.store.database import Store

ACCOUNT = "kind: Account\nslug: acme\nname: Acme\nopening_credits: 100\nmembers: {ann: owner}\n"
BRAND = "kind: BrandContext\naccount: acme\nslug: main\nname: Main\nvoice: calm\n"
SITE = (
    "kind: Site\naccount: acme\nslug: garden\nname: Garden\nbrand: main\n"
    "automation: {enabled: true, frequency: weekly, time: '06:30', timezone: Europe/Berlin}\n"
)
OTHER = "kind: Account\nslug: other\nname: Other\n"


class Files:
    """A directory of definitions, applied as often as a test likes."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder

    def apply(self, *documents: str, dry_run: bool = False, prune: bool = False) -> list[Change]:
        (self.folder / "a.yaml").write_text("---\n".join(documents), "utf-8")
        return apply(self.store, loading.load(self.folder), dry_run=dry_run, prune=prune)

    def actions(self, *documents: str, prune: bool = False) -> list[tuple[str, str]]:
        return [(change.action, change.slug) for change in self.apply(*documents, prune=prune)]


@pytest.fixture
def files(store: Store, tmp_path: Path) -> Files:
    return Files(store, tmp_path)


def sites(store: Store) -> list[reading.WorkflowRow]:
    with store.transaction() as tx:
        return reading.all_workflows(tx, "site")


def credits(store: Store, slug: str = "acme") -> Decimal:
    with store.transaction() as tx:
        account_id = reading.account_by_slug(tx, slug).account_id
    with store.transaction(account_id) as tx:
        return reports.balance(tx).balance


def test_creates_everything_in_any_order_and_reads_it_back(files: Files, store: Store) -> None:
    changes = files.apply(SITE, BRAND, ACCOUNT)
    assert [(change.action, change.kind) for change in changes] == [
        (Action.CREATE, "Account"), (Action.CREATE, "BrandContext"), (Action.CREATE, "Site"),
    ]  # fmt: skip
    (row,) = sites(store)
    assert row.workflow == loading.read_text(SITE, "x")[0][0].definition
    assert row.brand == loading.read_text(BRAND, "x")[0][0].definition
    assert row.account == loading.read_text(ACCOUNT, "x")[0][0].definition
    assert row.run().site.automation.schedule == "30 6 * * 1"
    assert credits(store) == 100


def test_again_is_unchanged_and_grants_nothing(files: Files, store: Store) -> None:
    files.apply(ACCOUNT, BRAND, SITE)
    assert {action for action, _ in files.actions(ACCOUNT, BRAND, SITE)} == {Action.UNCHANGED}
    assert credits(store) == 100


def test_a_change_is_shown_key_by_key(files: Files, store: Store) -> None:
    files.apply(ACCOUNT, BRAND, SITE)
    changed = SITE.replace("weekly", "daily").replace("Garden", "Gärten") + "article: {target_words: 800}\n"
    (change,) = [c for c in files.apply(ACCOUNT, BRAND, changed) if c.action is Action.UPDATE]
    assert change.diff == (
        '- name: "Garden"', '+ name: "Gärten"',
        '- automation.frequency: "weekly"', '+ automation.frequency: "daily"',
        "- article.target_words: 1200", "+ article.target_words: 800",
    )  # fmt: skip
    assert sites(store)[0].run().site.automation.frequency == "daily"


def test_a_dry_run_changes_nothing(files: Files, store: Store) -> None:
    changes = files.apply(ACCOUNT, BRAND, SITE, dry_run=True)
    assert len(changes) == 3
    assert sites(store) == []


def test_members_are_replaced_and_opening_credits_granted_once(files: Files, store: Store) -> None:
    files.apply(ACCOUNT)
    (change,) = files.apply(ACCOUNT.replace("{ann: owner}", "{bob: editor}").replace("100", "500"))
    assert "granted once" in change.note
    with store.transaction() as tx:
        account = reading.account_by_slug(tx, "acme").account
    assert account.members == {"bob": Role.EDITOR}
    assert credits(store) == 100


def test_prune_disables_sites_and_deletes_unused_brands_of_the_accounts_in_the_files(
    files: Files, store: Store
) -> None:
    unused = BRAND.replace("slug: main", "slug: spare")
    elsewhere = SITE.replace("acme", "other").replace("garden", "pond").replace("brand: main\n", "")
    writing = "grants: {connections: [pressroom_text]}\n"
    files.apply(ACCOUNT + writing, BRAND, unused, SITE, OTHER + writing, elsewhere)
    assert files.actions(ACCOUNT) == [(Action.UNCHANGED, "acme")]
    assert files.actions(ACCOUNT, prune=True) == [
        (Action.UNCHANGED, "acme"), (Action.DISABLE, "garden"),
        (Action.KEEP, "main"), (Action.DELETE, "spare"),
    ]  # fmt: skip
    assert {row.workflow.slug: row.workflow.status for row in sites(store)} == {
        "garden": "disabled",
        "pond": "active",
    }
    with store.transaction() as tx:
        assert [brand.slug for brand in reading.all_brands(tx)] == ["main"]
        assert [row.workflow.slug for row in reading.active_workflows(tx, "site")] == ["pond"]
    assert files.actions(ACCOUNT, prune=True) == [(Action.UNCHANGED, "acme"), (Action.KEEP, "main")]
    assert files.actions(ACCOUNT, BRAND, SITE) == [
        (Action.UNCHANGED, "acme"), (Action.UNCHANGED, "main"), (Action.UPDATE, "garden"),
    ]  # fmt: skip


def test_references_may_lead_to_the_database(files: Files) -> None:
    files.apply(ACCOUNT, BRAND)
    assert files.actions(SITE) == [(Action.CREATE, "garden")]


@pytest.mark.parametrize(
    ("documents", "problem"),
    [
        ((ACCOUNT, SITE), "a.yaml:11: Site garden: brand: the account 'acme' has no brand context 'main'"),
        (
            (ACCOUNT.replace("acme", "acmee"), BRAND),
            "a.yaml:8: BrandContext main: account: there is no account 'acme'. Did you mean 'acmee'?",
        ),
    ],
)  # fmt: skip
def test_a_reference_that_leads_nowhere_is_refused(
    files: Files, store: Store, documents: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        files.apply(*documents)
    assert problem in caught.value.problems[0]
    with store.transaction() as tx:
        assert reading.all_accounts(tx) == []


def test_a_slug_of_another_account_is_refused(files: Files, store: Store) -> None:
    files.apply(ACCOUNT, BRAND, SITE)
    with pytest.raises(DefinitionError, match="'garden' belongs to another account"):
        files.apply(OTHER, SITE.replace("acme", "other").replace("brand: main\n", ""))
    assert sites(store)[0].account.slug == "acme"


def test_a_failure_half_way_leaves_nothing(
    files: Files, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pressroom.definitions.applying.write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        files.apply(ACCOUNT, BRAND, SITE)
    with store.transaction() as tx:
        assert reading.all_accounts(tx) == []


def test_the_time_since_when_a_schedule_is_set_moves_with_the_schedule_alone(
    files: Files, store: Store
) -> None:
    def since() -> datetime | None:
        with store.transaction() as tx:
            return reading.workflow(tx, "garden").scheduled_since

    enabled, off = SITE, SITE.replace("enabled: true", "enabled: false")
    files.apply(ACCOUNT, BRAND, off)
    assert since() is None
    files.apply(ACCOUNT, BRAND, enabled)
    first = since()
    assert first is not None
    files.apply(ACCOUNT, BRAND, enabled.replace("Garden", "The Garden"))
    assert since() == first
    for other in (enabled.replace("weekly", "daily"), enabled.replace("weekly", "monthly"), off):
        files.apply(ACCOUNT, BRAND, other)
        assert since() != first
        first = since()
    assert first is not None
    files.apply(ACCOUNT, BRAND, enabled)
    files.apply(ACCOUNT, BRAND, prune=True)  # and what was disabled starts at its next slot, too
    pruned = since()
    files.apply(ACCOUNT, BRAND, enabled)
    assert since() not in (None, pruned)


def test_reading_names_the_nearest_site_and_account(files: Files, store: Store) -> None:
    files.apply(ACCOUNT, BRAND, SITE)
    with store.transaction() as tx:
        assert reading.workflow(tx, "garden").workflow.name == "Garden"
        with pytest.raises(PermanentError, match="Did you mean 'garden'"):
            reading.workflow(tx, "gardn")
        with pytest.raises(PermanentError, match="Did you mean 'acme'"):
            reading.account_by_slug(tx, "acne")


def test_one_dag_reads_its_own_site_only(files: Files, store: Store) -> None:
    pond = SITE.replace("slug: garden", "slug: pond")
    files.apply(ACCOUNT, BRAND, SITE, pond)
    with store.transaction() as tx:
        assert [row.workflow.slug for row in reading.active_workflows(tx, "site")] == ["garden", "pond"]
        assert [row.workflow.slug for row in reading.active_workflows(tx, "site", "site__pond")] == ["pond"]
        assert reading.active_workflows(tx, "site", "site__none") == []
        assert reading.active_workflows(tx, "site", "mission__pond") == []


def test_a_row_that_cannot_be_read_costs_its_own_dag_only(
    files: Files, store: Store, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    import psycopg

    files.apply(ACCOUNT, BRAND, SITE, SITE.replace("slug: garden", "slug: pond"))
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE sites SET definition = definition || '{\"colour\": 1}' WHERE slug = 'garden'"
        )
    with store.transaction() as tx:
        assert [row.workflow.slug for row in reading.active_workflows(tx, "site")] == ["pond"]
    assert "site garden is left out" in caplog.text
