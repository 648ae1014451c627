"""Rollback of a failed run, or on request: its stages undo what they did, last stage first."""

from __future__ import annotations

from typing import Any

from pressroom.domain.run import Run
from pressroom.engine.money import ledger
from pressroom.engine.runs import control
from pressroom.pipelines.stage import Pipeline
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx


async def roll_back(
    pipeline: Pipeline, run: Run, store: Store, tools: Tools, *, on_request: bool = False
) -> dict[str, Any]:
    """Undo the run, and return the report: per stage what was undone, and what could not be.

    ``on_request``: a person asked for it and nothing failed, so the run counts as cancelled.

    Each stage's undo and the refund are idempotent, so this can run again after a crash in the middle. The
    results of the stages go with what they told of: all of them are still to be done.
    Credits are refunded, because the account keeps nothing of what they paid for; cents are not, because the
    providers keep them.
    """
    stages = []
    for stage in reversed(pipeline.stages):
        if stage.undo is None:
            continue
        undo = await stage.undo(store, run, tools)
        stages.append({"stage": stage.name, "undone": undo.undone, "kept": list(undo.kept)})
    return await store.run(run.account_id, _record, run, stages, on_request=on_request)


def _record(tx: Tx, run: Run, stages: list[dict[str, Any]], *, on_request: bool) -> dict[str, Any]:
    tx.run("lock_run", run=run.id)
    earlier: dict[str, Any] | None = tx.value("rollback_report", run=run.id)
    report = _merged(earlier, stages)
    for entry in report["stages"]:
        message = f"Rolled back {entry['stage']}: {entry['undone']} undone, {len(entry['kept'])} kept"
        if earlier is None:
            control.event(tx, run.id, "rolled_back", message, stage=entry["stage"], level="warning",
                          data={"kept": entry["kept"]})  # fmt: skip
    report["credits_refunded"] = float(ledger.refund_run(tx, run.id))
    tx.run("save_rollback", run=run.id, report=report)
    tx.run("forget_stages", run=run.id, stages=[entry["stage"] for entry in stages])
    tx.run("rollback_done", run=run.id, cancelled=on_request)
    ledger.release_run(tx, run.id)
    return report


def _merged(earlier: dict[str, Any] | None, stages: list[dict[str, Any]]) -> dict[str, Any]:
    """The report of all tries: counts added up, kept items of each stage once."""
    before = {entry["stage"]: entry for entry in (earlier or {}).get("stages", [])}
    return {
        "stages": [
            {
                "stage": entry["stage"],
                "undone": entry["undone"] + before.get(entry["stage"], {}).get("undone", 0),
                "kept": list(
                    dict.fromkeys([*before.get(entry["stage"], {}).get("kept", []), *entry["kept"]])
                ),
            }
            for entry in stages
        ]
    }
