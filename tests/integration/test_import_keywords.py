"""Keyword lists into a real table."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from pressroom.definitions import loading
from pressroom.definitions.applying import apply
from pressroom.definitions.importing import ImportReport, import_keywords
from pressroom.definitions.keyword_lists import read_list
from pressroom.domain.errors import DefinitionError
from pressroom.domain.text import normalize
from pressroom.engine import audit
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


def imported(store: Store, site: reading.WorkflowRow, data: bytes) -> ImportReport:
    return import_keywords(store, site.account_id, site.workflow_id, read_list(data), audit.by("test"))


def test_counts_what_is_added_known_and_bad(store: Store, site: reading.WorkflowRow) -> None:
    first = imported(store, site, b"keyword,volume\nred tulips,5\nblue tulips,7\nRed  Tulips,5\n")
    assert (first.added, first.duplicates, list(first.bad)) == (2, 1, [])
    again = imported(store, site, b"keyword,volume\nblue tulips!,7\nnew,x\nroses,1\n")
    assert (again.added, again.duplicates, [bad.line for bad in again.bad]) == (1, 1, [3])
    with store.transaction(site.account_id) as tx:
        assert reports.overview(tx, site.workflow_id, SITE)[0].pending == 3


def test_every_column_is_stored(store: Store, site: reading.WorkflowRow, database_url: str) -> None:
    imported(store, site, 'keyword,volume,difficulty,intent\nrosé "x\\y",5,12.5%,info\nb,-,,\n'.encode())
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT text, normalized, volume, difficulty, intent FROM keywords ORDER BY id"
        ).fetchall()
    assert rows == [
        ("b", "b", None, None, None),
        ('rosé "x\\y"', normalize('rosé "x\\y"'), 5, Decimal("12.5"), "informational"),
    ]


def test_many_rows_go_in_in_batches_and_are_on_record(
    store: Store, site: reading.WorkflowRow, database_url: str
) -> None:
    data = "\n".join(["keyword", *(f"keyword {number}" for number in range(1234))]).encode()
    assert imported(store, site, data).added == 1234
    report = imported(store, site, data + b"\none more")
    assert (report.added, report.duplicates) == (1, 1234)
    with psycopg.connect(database_url) as connection:
        lines = connection.execute(
            "SELECT actor, action, details->'before', details->'after' FROM audit_log"
            " WHERE action LIKE 'keyword%' ORDER BY id"
        ).fetchall()
    assert lines == [
        ("test", "keyword.import", {"keywords": 0}, None),
        ("test", "keyword.imported", None, {"keywords": 1234}),
        ("test", "keyword.import", {"keywords": 1234}, None),
        ("test", "keyword.imported", None, {"keywords": 1235}),
    ]


def test_another_site_may_have_the_same_keyword(store: Store, site: reading.WorkflowRow) -> None:
    with store.transaction() as tx:
        pond = reading.workflow(tx, "pond")
    for row in (site, pond):
        assert imported(store, row, b"keyword\ntulips\n").added == 1


def test_a_file_that_cannot_be_understood_adds_nothing(store: Store, site: reading.WorkflowRow) -> None:
    with pytest.raises(DefinitionError):
        imported(store, site, b"tulips\nroses\n")
    with store.transaction(site.account_id) as tx:
        assert reports.overview(tx, site.workflow_id, SITE)[0].pending == 0
