-- name: lock_workflow
-- Locks a workflow's row until the transaction ends.
SELECT id FROM workflows WHERE account_id = %(account)s AND id = %(workflow)s FOR NO KEY UPDATE

-- name: run_by_id
-- Returns a run.
SELECT id, account_id, workflow_id, dag_id, dag_run_id, status, cancel_requested, cancel_now, owner, started_at,
    lease_until, current_stage, params
FROM runs WHERE account_id = %(account)s AND id = %(run)s

-- name: run_by_dag_run
-- Returns the run of a DAG run.
SELECT id, account_id, workflow_id, dag_id, dag_run_id, status, cancel_requested, cancel_now, owner, started_at,
    lease_until, current_stage, params
FROM runs WHERE account_id = %(account)s AND dag_id = %(dag_id)s AND dag_run_id = %(dag_run_id)s

-- name: live_run_of_workflow
-- Returns the workflow's live runs: the one that holds the lock first, then the newest.
SELECT id, account_id, workflow_id, dag_id, dag_run_id, status, cancel_requested, cancel_now, owner, started_at,
    lease_until, current_stage, params
FROM runs WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND status IN ('running', 'paused')
ORDER BY exclusive DESC, id DESC

-- name: lock_holder
-- Returns the live run that holds the workflow's lock.
SELECT id, account_id, workflow_id, dag_id, dag_run_id, status, cancel_requested, cancel_now, owner, started_at,
    lease_until, current_stage, params
FROM runs
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND status IN ('running', 'paused') AND exclusive

-- name: lease_is_over
-- Returns whether a run's lease is over.
SELECT lease_until < now() FROM runs WHERE account_id = %(account)s AND id = %(run)s

-- name: insert_run
-- Inserts a run. Returns its id.
INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, slot, owner, lease_until, params,
    estimated_credits, exclusive, clears, definition)
VALUES (%(account)s, %(workflow)s, %(dag_id)s, %(dag_run_id)s, %(trigger)s, %(slot)s, %(owner)s, now() + %(lease)s,
    %(params)s, %(estimate)s, %(exclusive)s, %(clears)s, %(definition)s)
RETURNING id

-- name: insert_refused_run
-- Inserts a run that was refused, as failed, or one that its schedule skipped, as cancelled. Returns its id. One that had
-- ended before ends so now.
INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, slot, owner, lease_until, status, error_message,
    completed_at, shown)
VALUES (%(account)s, %(workflow)s, %(dag_id)s, %(dag_run_id)s, %(trigger)s, %(slot)s, %(owner)s, now(), %(status)s,
    %(reason)s, now(), false)
ON CONFLICT (dag_id, dag_run_id) DO UPDATE
SET status = excluded.status, error_message = excluded.error_message, completed_at = now(), shown = false
WHERE runs.account_id = %(account)s AND runs.status NOT IN ('running', 'paused')
RETURNING id

-- name: reopen_run
-- Sets a run to running again (its DAG run was cleared or retried) and renews its lease. A live run keeps its owner,
-- its estimate, its stage, a request to pause or cancel and, once it has begun, its definition.
UPDATE runs SET status = CASE WHEN status = 'paused' THEN status ELSE 'running' END,
    cancel_requested = cancel_requested AND status IN ('running', 'paused'),
    cancel_now = cancel_now AND status IN ('running', 'paused'),
    owner = CASE WHEN status IN ('running', 'paused') THEN owner ELSE %(owner)s END,
    lease_until = now() + %(lease)s, params = %(params)s,
    definition = CASE
        WHEN status IN ('running', 'paused') AND definition IS NOT NULL AND EXISTS (
            SELECT FROM stage_results AS begun
            WHERE begun.account_id = %(account)s AND begun.run_id = runs.id) THEN definition
        ELSE %(definition)s::jsonb END,
    estimated_credits = CASE WHEN status IN ('running', 'paused') THEN estimated_credits ELSE %(estimate)s END,
    current_stage = CASE WHEN status IN ('running', 'paused') THEN current_stage END,
    marked = CASE WHEN status IN ('running', 'paused') THEN marked END,
    clears = greatest(clears, %(clears)s),
    error_message = NULL, error_rank = NULL, completed_at = NULL, opened_at = now()
WHERE account_id = %(account)s AND id = %(run)s

-- name: run_definition
-- Returns the definitions that a run goes by, as they were when it was opened.
SELECT definition FROM runs WHERE account_id = %(account)s AND id = %(run)s

-- name: run_clears
-- Returns how often the run's DAG run had been cleared when the run was last opened.
SELECT clears FROM runs WHERE account_id = %(account)s AND id = %(run)s

-- name: run_begun
-- Returns whether a run has planned a stage, and was not rolled back since. A run on request is recorded before Airflow
-- begins it.
SELECT EXISTS (SELECT FROM stage_results WHERE account_id = %(account)s AND run_id = %(run)s)

-- name: renew_lease
-- Extends a live run's lease to `lease` after `until`, or after now; never shortens it.
UPDATE runs SET lease_until = greatest(lease_until, coalesce(%(until)s, now()) + %(lease)s)
WHERE account_id = %(account)s AND id = %(run)s AND status IN ('running', 'paused')

-- name: pause_run
-- Pauses running runs: one, or all of the workflow. Returns their ids.
UPDATE runs SET status = 'paused', paused_at = now()
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND (%(run)s::bigint IS NULL OR id = %(run)s)
    AND status = 'running' AND NOT cancel_requested
RETURNING id

-- name: resume_run
-- Resumes paused runs: one, or all of the workflow. Returns their ids.
UPDATE runs SET status = 'running', resumed_at = now()
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND (%(run)s::bigint IS NULL OR id = %(run)s)
    AND status = 'paused' AND NOT cancel_requested
RETURNING id

-- name: cancel_run
-- Requests the cancellation of live runs: one, or all of the workflow. Returns their ids.
UPDATE runs SET cancel_requested = true, cancelled_at = now()
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND (%(run)s::bigint IS NULL OR id = %(run)s)
    AND status IN ('running', 'paused') AND NOT cancel_requested
RETURNING id

-- name: cancel_run_now
-- Requests that live runs stop at once: one, or all of the workflow; also one that is being cancelled. Returns their ids.
UPDATE runs SET cancel_requested = true, cancel_now = true,
    cancelled_at = CASE WHEN cancel_requested THEN cancelled_at ELSE now() END
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND (%(run)s::bigint IS NULL OR id = %(run)s)
    AND status IN ('running', 'paused') AND NOT cancel_now
RETURNING id

-- name: run_left_undone
-- Returns whether a stage of the run had failed items or ended partial.
SELECT EXISTS (
    SELECT FROM stage_results
    WHERE account_id = %(account)s AND run_id = %(run)s AND (failed > 0 OR partial IS NOT NULL))

-- name: finish_run
-- Sets a run's final status. Its stage stays: it is where the run ended.
UPDATE runs SET status = %(status)s, error_message = %(error)s, completed_at = now(), rollback_requested_by = NULL,
    shown = false
WHERE account_id = %(account)s AND id = %(run)s

-- name: run_end
-- Returns how a run ended.
SELECT status, error_message AS reason, marked FROM runs WHERE account_id = %(account)s AND id = %(run)s

-- name: mark_run
-- Keeps as what the DAG run of a live run was marked. Returns the run's id.
UPDATE runs SET marked = %(marked)s
WHERE account_id = %(account)s AND dag_id = %(dag_id)s AND dag_run_id = %(dag_run_id)s
    AND status IN ('running', 'paused')
RETURNING id

-- name: live_run
-- Returns a live run as the reconciler sees it. `age`: seconds since it was opened.
SELECT id, dag_id, dag_run_id, opened_at, extract(epoch FROM now() - opened_at)::float8 AS age, marked
FROM runs WHERE account_id = %(account)s AND id = %(run)s AND status IN ('running', 'paused')

-- name: record_reason
-- Keeps the reason for which a live run fails, unless one of at least that rank is on record.
UPDATE runs SET error_message = %(reason)s, error_rank = %(rank)s
WHERE account_id = %(account)s AND id = %(run)s AND status IN ('running', 'paused')
    AND (error_rank IS NULL OR error_rank < %(rank)s)

-- name: run_reason
-- Returns the reason for which a run fails, once a task has given it, and how many tasks have failed since it was opened.
SELECT error_message, (
    SELECT count(*) FROM run_events
    WHERE run_events.account_id = %(account)s AND run_id = runs.id AND kind = %(kind)s AND at >= opened_at) AS failed
FROM runs WHERE account_id = %(account)s AND id = %(run)s AND error_rank IS NOT NULL

-- name: set_current_stage
-- Sets the stage that a run is at.
UPDATE runs SET current_stage = %(stage)s WHERE account_id = %(account)s AND id = %(run)s

-- name: insert_event
-- Inserts an event with the run's next number.
WITH next AS (
    UPDATE runs SET last_event = last_event + 1 WHERE account_id = %(account)s AND id = %(run)s RETURNING last_event)
INSERT INTO run_events (account_id, run_id, id, stage, kind, level, message, data)
SELECT %(account)s, %(run)s, last_event, %(stage)s::text, %(kind)s, %(level)s, %(message)s, %(data)s::jsonb FROM next

-- name: run_was_told
-- Returns whether a line of the run's log says this already.
SELECT EXISTS (
    SELECT FROM run_events
    WHERE account_id = %(account)s AND run_id = %(run)s AND level = 'warning'
      AND position(%(message)s::text IN message) > 0)

-- name: plan_stage
-- Inserts a stage's result with the number of planned items, or renews it: what was processed before counts as planned,
-- and what failed since the run was opened has failed.
INSERT INTO stage_results AS s (account_id, run_id, stage, planned, skipped, completed_at)
VALUES (%(account)s, %(run)s, %(stage)s, %(planned)s, %(skipped)s,
    CASE WHEN %(planned)s::bigint = 0 THEN now() END)
ON CONFLICT (run_id, stage) DO UPDATE
SET planned = s.processed + excluded.planned, skipped = excluded.skipped, partial = NULL,
    failed = (SELECT count(*) FROM item_failures AS f JOIN runs AS r ON r.account_id = f.account_id AND r.id = f.run_id
              WHERE f.account_id = %(account)s AND f.run_id = %(run)s AND f.stage = %(stage)s AND f.at > r.opened_at),
    completed_at = excluded.completed_at

-- name: stage_processed
-- Returns how much of a stage the run has done.
SELECT processed FROM stage_results WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s

-- name: stage_begun
-- Begins a stage whose items arrive one by one.
INSERT INTO stage_results (account_id, run_id, stage, planned)
VALUES (%(account)s, %(run)s, %(stage)s, 0)
ON CONFLICT (run_id, stage) DO NOTHING

-- name: add_to_stage
-- Adds one item's numbers to its stage's result.
UPDATE stage_results SET
    processed = processed + %(processed)s, created = created + %(created)s, words = words + %(words)s,
    credits = credits + %(credits)s
WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s

-- name: finish_batch
-- Adds a batch to its stage's result and counts the failed items again. Why an earlier batch stopped no longer counts
-- once nothing is left to do.
WITH failures AS (
    SELECT count(*) AS failed FROM item_failures AS f
    WHERE f.account_id = %(account)s AND f.run_id = %(run)s AND f.stage = %(stage)s)
UPDATE stage_results AS s SET
    batches = batches + %(batches)s,
    partial = coalesce(%(partial)s, CASE WHEN s.processed + failures.failed < s.planned THEN s.partial END),
    failed = failures.failed, completed_at = now()
FROM failures
WHERE s.account_id = %(account)s AND s.run_id = %(run)s AND s.stage = %(stage)s

-- name: finish_stage
-- Sets a stage's output and its end.
UPDATE stage_results SET output = %(output)s, completed_at = now()
WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s

-- name: stage_clock
-- Returns when a stage began, when a batch of it last ended, and when another stage of the run last ended.
SELECT
    (SELECT max(at) FROM run_events
     WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s AND kind = 'batch_done') AS last_batch,
    (SELECT started_at FROM stage_results
     WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s) AS started_at,
    (SELECT max(completed_at) FROM stage_results
     WHERE account_id = %(account)s AND run_id = %(run)s AND stage <> %(stage)s AND processed > 0) AS previous_end

-- name: record_item_failure
-- Inserts an item's failure, or counts another attempt.
INSERT INTO item_failures AS f (account_id, workflow_id, stage, item, error_class, error, run_id)
VALUES (%(account)s, %(workflow)s, %(stage)s, %(item)s, %(error_class)s, %(error)s, %(run)s)
ON CONFLICT (workflow_id, stage, item) DO UPDATE
SET attempts = f.attempts + 1, error_class = excluded.error_class, error = excluded.error, run_id = excluded.run_id,
    at = now()

-- name: clear_item_failure
-- Deletes an item's failure.
DELETE FROM item_failures
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND stage = %(stage)s AND item = %(item)s

-- name: failed_since_opened
-- Returns the items of a stage that failed since the run was last opened.
SELECT f.item FROM item_failures AS f JOIN runs AS r ON r.account_id = f.account_id AND r.id = f.run_id
WHERE f.account_id = %(account)s AND f.run_id = %(run)s AND f.stage = %(stage)s AND f.at > r.opened_at

-- name: lock_run
-- Locks a run's row until the transaction ends.
SELECT id FROM runs WHERE account_id = %(account)s AND id = %(run)s FOR NO KEY UPDATE

-- name: rollback_requested_by
-- Returns who asked for the run's rollback; null when nobody did.
SELECT rollback_requested_by FROM runs WHERE account_id = %(account)s AND id = %(run)s

-- name: rollback_done
-- Clears the request for a rollback, and with `cancelled` cancels the run.
UPDATE runs SET rollback_requested_by = NULL, cancel_requested = cancel_requested OR %(cancelled)s,
    cancelled_at = CASE WHEN %(cancelled)s THEN coalesce(cancelled_at, now()) ELSE cancelled_at END
WHERE account_id = %(account)s AND id = %(run)s

-- name: rollback_report
-- Returns the report of a run's rollback.
SELECT report FROM rollbacks WHERE account_id = %(account)s AND run_id = %(run)s

-- name: forget_stages
-- Deletes the results of stages that were undone.
DELETE FROM stage_results
WHERE account_id = %(account)s AND run_id = %(run)s AND stage = ANY(%(stages)s::text[])

-- name: rollback_is_past
-- Deletes the report of a rollback that a run, opened again since, has left behind.
DELETE FROM rollbacks USING runs
WHERE rollbacks.account_id = %(account)s AND rollbacks.run_id = %(run)s AND runs.account_id = rollbacks.account_id
    AND runs.id = rollbacks.run_id AND rollbacks.created_at < runs.opened_at

-- name: save_rollback
-- Inserts or replaces the report of a run's rollback.
INSERT INTO rollbacks (account_id, run_id, report) VALUES (%(account)s, %(run)s, %(report)s)
ON CONFLICT (run_id) DO UPDATE SET report = excluded.report, created_at = now() WHERE rollbacks.account_id = %(account)s
