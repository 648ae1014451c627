"""Keyword lists into a real table."""

from __future__ import annotations

from pathlib import Path

import pytest

from pressroom.definitions import loading
from pressroom.definitions.applying import apply
from pressroom.definitions.importing import import_keywords
from pressroom.domain.errors import DefinitionError
from pressroom.engine.runs import reports
from pressroom.pipelines.site import SITE
from pressroom.store import workflows as reading
from pressroom.store.database import Store

DEFINITIONS = (
    "kind: Account\nslug: acme\nname: Acme\n---\n"
    "kind: Site\naccount: acme\nslug: garden\nname: Garden\n---\n"
    "kind: Site\naccount: acme\nslug: pond\nname: Pond\n"
)


@pytest.fixture
def site(store: Store, tmp_path: Path) -> reading.WorkflowRow:
    (tmp_path / "a.yaml").write_text(DEFINITIONS)
    apply(store, loading.load(tmp_path))
    with store.transaction() as tx:
        return reading.workflow(tx, "garden")


def test_counts_what_is_added_known_and_bad(store: Store, site: reading.WorkflowRow) -> None:
    with store.transaction(site.account_id) as tx:
        first = import_keywords(
            tx, site.workflow_id, b"keyword,volume\nred tulips,5\nblue tulips,7\nRed  Tulips,5\n"
        )
    assert (first.added, first.duplicates, list(first.bad)) == (2, 1, [])
    with store.transaction(site.account_id) as tx:
        again = import_keywords(tx, site.workflow_id, b"keyword,volume\nblue tulips!,7\nnew,x\nroses,1\n")
    assert (again.added, again.duplicates, [bad.line for bad in again.bad]) == (1, 1, [3])
    with store.transaction(site.account_id) as tx:
        assert reports.overview(tx, site.workflow_id, SITE)[0].pending == 3


def test_many_rows_go_in_in_batches(store: Store, site: reading.WorkflowRow) -> None:
    data = "\n".join(["keyword", *(f"keyword {number}" for number in range(1234))]).encode()
    with store.transaction(site.account_id) as tx:
        assert import_keywords(tx, site.workflow_id, data).added == 1234
    with store.transaction(site.account_id) as tx:
        report = import_keywords(tx, site.workflow_id, data + b"\none more")
    assert (report.added, report.duplicates) == (1, 1234)


def test_another_site_may_have_the_same_keyword(store: Store, site: reading.WorkflowRow) -> None:
    with store.transaction() as tx:
        pond = reading.workflow(tx, "pond")
    for row in (site, pond):
        with store.transaction(row.account_id) as tx:
            assert import_keywords(tx, row.workflow_id, b"keyword\ntulips\n").added == 1


def test_a_file_that_cannot_be_understood_adds_nothing(store: Store, site: reading.WorkflowRow) -> None:
    with pytest.raises(DefinitionError), store.transaction(site.account_id) as tx:
        import_keywords(tx, site.workflow_id, b"tulips\nroses\n")
    with store.transaction(site.account_id) as tx:
        assert reports.overview(tx, site.workflow_id, SITE)[0].pending == 0
