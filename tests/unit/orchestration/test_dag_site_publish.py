"""A site with targets has a second DAG, which approval starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.serialization.serialized_objects import DagSerialization

from pressroom.domain.definitions import Account, Site
from pressroom.orchestration.dags import snapshot, workflows
from pressroom.orchestration.dags.build import build_dag
from pressroom.orchestration.tools import connections
from pressroom.pipelines.registry import parts_of, pipeline_of, pipeline_of_dag
from pressroom.pipelines.site import SITE
from pressroom.pipelines.site.publish import SITE_PUBLISH
from pressroom.store.workflows import WorkflowRow, split_dag_id

ASSET = "pressroom://site/garden/approved"


def site(slug: str = "garden", **changes: Any) -> Site:
    targets = {"targets": [{"to": "wordpress"}, {"to": "static_site", "connection": "mirror"}]}
    return Site.model_validate(
        {"account": "acme", "slug": slug, "name": "The Garden", "publish": targets, **changes}
    )


def built(part: str = "publish") -> DAG:
    return build_dag(pipeline_of(site(), part), site(), part)


def uris(assets: Any) -> list[str]:
    return [asset.uri for asset in assets if isinstance(asset, Asset)]


def test_it_publishes_between_opening_and_closing() -> None:
    dag = built()
    assert dag.dag_id == "site__garden__publish"
    assert dag.dag_display_name == "The Garden: publish"
    assert {task.task_id: task.upstream_task_ids for task in dag.tasks} == {
        "open_run": set(),
        "publish.plan": {"open_run"},
        "publish.work": {"publish.plan"},
        "close_run": {"open_run", "publish.plan", "publish.work"},
    }
    assert [task.task_id for task in dag.tasks if task.is_teardown] == ["close_run"]
    told = [task.partial_kwargs if isinstance(task, MappedOperator) else vars(task) for task in dag.tasks]
    assert {(facts["workflow"], facts["part"]) for facts in told} == {("site/garden", "publish")}
    assert dag.get_task("publish.work").pool == "pressroom_publish"
    assert dag.doc_md is not None
    assert "`pressroom_wordpress/wordpress`, `mirror/static_site`" in dag.doc_md


def test_the_approved_asset_starts_it_one_run_after_another() -> None:
    dag = built()
    condition: Any = dag.timetable.asset_condition
    assert uris(condition.objects) == [ASSET]
    assert dag.max_active_runs == 1
    assert not dag.params


def test_it_needs_no_lock_and_no_credits() -> None:
    assert SITE.exclusive
    assert not SITE_PUBLISH.exclusive


def test_the_sites_own_dag_says_when_articles_are_approved() -> None:
    dag = built("")
    assert dag.dag_id == "site__garden"
    announcing = dag.get_task("approved")
    assert uris(announcing.outlets) == [ASSET]
    assert announcing.upstream_task_ids == {"review"}
    assert dag.get_task("close_run").upstream_task_ids == {"open_run", "approved"}
    assert [task.task_id for task in dag.tasks if task.outlets] == ["approved"]


def test_without_targets_there_is_neither() -> None:
    plain = site(publish={"auto_publish": True})
    assert parts_of(plain) == [""]
    assert not build_dag(SITE, plain).has_task("approved")


def test_two_builds_serialize_identically() -> None:
    first, second = (json.dumps(DagSerialization.to_dict(built()), sort_keys=True) for _ in range(2))
    assert first == second


def test_a_dags_pipeline_is_found_by_its_id() -> None:
    assert pipeline_of_dag(site(), "site__garden") is SITE
    assert pipeline_of_dag(site(), "site__garden__publish") is SITE_PUBLISH
    with pytest.raises(KeyError):
        pipeline_of_dag(site(), "site__garden__other")


@pytest.mark.parametrize(
    ("dag_id", "expected"),
    [("site__garden", ("site", "garden")), ("site__garden__publish", ("site", "garden")),
     ("flow__daily-news", ("flow", "daily-news")), ("garden", None), ("other__garden", None)],
)  # fmt: skip
def test_a_dag_id_names_its_workflow(dag_id: str, expected: tuple[str, str] | None) -> None:
    assert split_dag_id(dag_id) == expected


class Context(NamedTuple):
    """Airflow's parsing context."""

    dag_id: str | None
    task_id: str | None = None


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, ["site__garden", "site__garden__publish", "site__shed", "site__shed__publish"]),
        ("site__garden", ["site__garden"]),
        ("site__garden__publish", ["site__garden__publish"]),
        ("site__garden__other", []),
    ],
)
def test_a_worker_gets_its_own_dag_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None, expected: list[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("PRESSROOM_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/pressroom")
    monkeypatch.setattr(workflows, "READ_SECONDS", 0.2)
    connections._store_of.cache_clear()
    account = Account(slug="acme", name="Acme")
    rows = [WorkflowRow(1, n, account, site(slug), None) for n, slug in enumerate(["garden", "shed"])]
    snapshot.write(tmp_path / "pressroom-snapshots" / "sites-0.json", rows)
    monkeypatch.setattr(workflows, "get_parsing_context", lambda: Context(asked))
    assert sorted(workflows.workflow_dags("site", 0)) == expected
