"""Every field of every definition × huge, odd and hostile values: refused by name, or all DAGs build."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pressroom.definitions.checking import check
from pressroom.domain.definitions import Account, Site
from pressroom.domain.errors import DefinitionError
from pressroom.domain.flows import Flow
from pressroom.domain.kinds import KINDS, AnyDefinition, Workflow
from pressroom.domain.missions import Mission
from pressroom.domain.text import to_json
from pressroom.store.workflows import UnreadableRow, WorkflowRow, parse
from tests.support.airflow_library import airflow_as_library
from tests.support.definition_walk import DRAFT, STEPS, WalkCase, cases

with airflow_as_library():
    from airflow import settings
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.dag_processing.processor import _serialize_dags
    from airflow.models.dag import DagModel

    from pressroom.orchestration.dags import workflows
    from pressroom.orchestration.dags.trial import dag_problems

ACCOUNT = Account(slug="acme", name="Acme")
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = {"name": "page", "type": "publish", **STEPS["publish"]}
LONG_CRON = "0 " + "0," * 94 + "0 * * *"
DAG_FILE = """\
# airflow dag
from pressroom.orchestration.dags.workflows import workflow_dags
globals().update(workflow_dags("flow", shard=0))
"""


@pytest.fixture(autouse=True, scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Airflow without its log of every schedule, and with a folder for plugins: it reads a DAG again as the
    scheduler does, which asks for them.
    """
    logging.disable(logging.INFO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "PLUGINS_FOLDER", str(tmp_path_factory.mktemp("plugins")))
        yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def walked() -> tuple[list[WalkCase], list[tuple[WalkCase, AnyDefinition]], list[tuple[WalkCase, Any]]]:
    """(all cases, the accepted ones, the refused ones with their problems)."""
    every, accepted, refused = [], [], []
    for case in cases():
        every.append(case)
        definition, wrong = check(KINDS[case.kind].model, case.data)
        if definition is None:
            refused.append((case, wrong))
        else:
            accepted.append((case, definition))
    return every, accepted, refused


def test_the_walk_is_long_and_meets_every_kind(walked: Any) -> None:
    every, accepted, refused = walked
    assert len(every) > 10_000
    assert {case.kind for case in every} == set(KINDS)
    assert len(accepted) > 1_000
    assert len(refused) > 1_000


def test_what_is_refused_is_refused_by_the_name_of_its_field(walked: Any) -> None:
    for case, wrong in walked[2]:
        field = [step for step in case.path if isinstance(step, str)][-1]
        said = "; ".join(f"{'.'.join(map(str, each.path))} {each.text}" for each in wrong)
        assert field in said or case.path[-2:] == ("extra", "key"), (case.name, said)
        assert len(said) < 3000, case.name


def test_what_is_accepted_builds_or_is_refused_with_its_field(walked: Any) -> None:
    """Serialized by Airflow, and looked at against its columns, by the functions that the trial uses."""
    seen: set[str] = set()
    refused = []
    for case, definition in walked[1]:
        if not isinstance(definition, Workflow):
            continue
        # Prompts are no part of a DAG; everything else may be.
        key = to_json(definition.model_dump(mode="json", exclude={"prompts"}))
        if key in seen:
            continue
        seen.add(key)
        refused += [(case.name, each) for each in dag_problems(definition)]
    assert len(seen) > 500
    assert {name for name, _ in refused} == {
        "Flow trigger.asset an asset that fails",
        "Flow trigger.asset a reserved asset",
        "Flow trigger.asset half an address",
        "Flow trigger.asset a space",
    } | {name for name, each in refused if "must be written as" in each.text}
    assert all(each.path == ("trigger", "asset") for _, each in refused)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("Site", {"automation": {"enabled": True, "cron": "0," * 300 + "0 * * * *"}}, "200 characters"),
        ("Site", {"automation": {"enabled": True, "cron": "x" * 1_600_000}}, "20000 at most"),
        ("Site", {"automation": {"enabled": True, "cron": "0 0 31 2 *"}}, "no year has"),
        ("Mission", {"starts_at": "9999-12-01T00:00:00Z"}, "starts_at: the year must be"),
        ("Mission", {"starts_at": "0001-01-01T00:00:00Z"}, "starts_at: the year must be"),
        ("Mission", {"ends_at": "9999-12-31T12:00:00Z"}, "ends_at: the year must be"),
        ("Mission", {"ends_at": "2099-12-31T12:00:00Z"}, "ends_at: must come at most"),
    ],
)
def test_the_measured_attacks_are_refused_by_the_model(kind: str, changes: Any, said: str) -> None:
    definition, wrong = check(KINDS[kind].model, DRAFT[kind] | changes)
    assert definition is None
    assert said in f"{wrong[0].path} {wrong[0].text}"


def test_a_description_that_airflow_cannot_hold_is_refused_by_its_length() -> None:
    hours = "0 " + "0," * 160 + "0 * * *"
    site = Site.model_validate(DRAFT["Site"])
    automation = site.automation.model_copy(update={"cron": hours})
    wrong = list(dag_problems(site.model_copy(update={"automation": automation})))
    most = DagModel.__table__.c.timetable_description.type.length
    assert [each.path for each in wrong] == [("automation", "cron")]
    assert f"timetable_description holds {most}" in wrong[0].text


def by_hand(definition: Flow, **changes: Any) -> Flow:
    """The definition as a hand in the database may leave it: no model has looked at it."""
    return definition.model_copy(update=changes)


def row(workflow: Workflow) -> WorkflowRow:
    return WorkflowRow(1, 1, ACCOUNT, workflow, None, None, SINCE)


def test_one_bad_row_is_one_import_error_and_the_other_dags_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the functions of Airflow's own dag processor."""
    good = Flow.model_validate(DRAFT["Flow"] | {"steps": [PAGE]})
    asset = good.trigger.model_copy(update={"asset": "postgres://x"})
    cron = good.trigger.model_copy(update={"cron": "0 " + "0," * 160 + "0 * * *"})
    never = good.trigger.model_copy(update={"cron": "0 0 31 2 *"})
    rows = [
        row(good),
        row(by_hand(good, slug="asset", trigger=asset)),
        row(by_hand(good, slug="second")),
        row(by_hand(good, slug="cron", trigger=cron)),
        row(by_hand(good, slug="never", trigger=never)),
    ]

    def read(*_: Any, report: Any, **__: Any) -> tuple[list[WorkflowRow], bool]:
        report(UnreadableRow("flow", "other", "unreadable", "Flow unreadable as stored: steps: is missing"))
        return rows, False

    monkeypatch.setattr(workflows, "read_or_snapshot", read)
    monkeypatch.setenv("PRESSROOM_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/pressroom")
    (tmp_path / "flows.py").write_text(DAG_FILE)
    bag = BundleDagBag(
        dag_folder=tmp_path / "flows.py", bundle_path=tmp_path, bundle_name="dags", load_op_links=False
    )
    assert bag.import_errors == {}
    stored, errors = _serialize_dags(bag, logging.getLogger(__name__))  # type: ignore[arg-type]
    assert sorted(dag.dag_id for dag in stored) == ["flow__news", "flow__second"]
    assert sorted(errors) == [
        "flows.py: flow asset of acme",
        "flows.py: flow cron of acme",
        "flows.py: flow never of acme",
        "flows.py: flow unreadable of other",
    ]
    assert "URI format postgres://" in errors["flows.py: flow asset of acme"]
    assert "timetable_description holds 1000" in errors["flows.py: flow cron of acme"]
    assert "steps: is missing" in errors["flows.py: flow unreadable of other"]


def test_a_stored_definition_beyond_the_bounds_is_unreadable_and_not_built() -> None:
    stored = json.loads(to_json(Mission.model_validate(DRAFT["Mission"]).model_dump(mode="json")))
    stored["starts_at"] = "9999-12-01T00:00:00Z"
    with pytest.raises(DefinitionError, match="the year must be from 2000 to 2199"):
        parse(Mission, stored, "spring")
