-- name: lock_workflow
SELECT id FROM workflows WHERE account_id = %(account)s AND id = %(workflow)s FOR NO KEY UPDATE

-- name: run_by_id
SELECT id, account_id, workflow_id, dag_id, dag_run_id, status, cancel_requested, owner, started_at, lease_until,
    current_stage, params
FROM runs WHERE account_id = %(account)s AND id = %(run)s

-- name: run_by_dag_run
SELECT id, account_id, workflow_id, dag_id, dag_run_id, status, cancel_requested, owner, started_at, lease_until,
    current_stage, params
FROM runs WHERE account_id = %(account)s AND dag_id = %(dag_id)s AND dag_run_id = %(dag_run_id)s

-- name: live_run_of_workflow
SELECT id, account_id, workflow_id, dag_id, dag_run_id, status, cancel_requested, owner, started_at, lease_until,
    current_stage, params
FROM runs WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND status IN ('running', 'paused')
ORDER BY exclusive DESC, id DESC

-- name: lock_holder
SELECT id, account_id, workflow_id, dag_id, dag_run_id, status, cancel_requested, owner, started_at, lease_until,
    current_stage, params
FROM runs
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND status IN ('running', 'paused') AND exclusive

-- name: lease_is_over
SELECT lease_until < now() FROM runs WHERE account_id = %(account)s AND id = %(run)s

-- name: last_scheduled_start
SELECT max(started_at) FROM runs
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND trigger = 'scheduled' AND started_at > now() - %(gap)s

-- name: insert_run
INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, owner, lease_until, params, estimated_credits,
    exclusive)
VALUES (%(account)s, %(workflow)s, %(dag_id)s, %(dag_run_id)s, %(trigger)s, %(owner)s, now() + %(lease)s, %(params)s,
    %(estimate)s, %(exclusive)s)
RETURNING id

-- name: insert_refused_run
INSERT INTO runs (account_id, workflow_id, dag_id, dag_run_id, trigger, owner, lease_until, status, error_message,
    completed_at)
VALUES (%(account)s, %(workflow)s, %(dag_id)s, %(dag_run_id)s, %(trigger)s, %(owner)s, now(), 'failed', %(reason)s, now())
ON CONFLICT (dag_id, dag_run_id) DO UPDATE SET error_message = excluded.error_message
WHERE runs.account_id = %(account)s AND runs.status NOT IN ('running', 'paused')
RETURNING id

-- name: reopen_run
UPDATE runs SET status = CASE WHEN status = 'paused' THEN status ELSE 'running' END,
    cancel_requested = cancel_requested AND status IN ('running', 'paused'),
    owner = CASE WHEN status IN ('running', 'paused') THEN owner ELSE %(owner)s END,
    lease_until = now() + %(lease)s, params = %(params)s,
    estimated_credits = CASE WHEN status IN ('running', 'paused') THEN estimated_credits ELSE %(estimate)s END,
    error_message = NULL, completed_at = NULL, opened_at = now()
WHERE account_id = %(account)s AND id = %(run)s

-- name: run_begun
-- A run that somebody asked for is on record before Airflow begins it.
SELECT EXISTS (SELECT FROM stage_results WHERE account_id = %(account)s AND run_id = %(run)s)

-- name: touch_last_run
UPDATE automation_configs SET last_run_at = now() WHERE account_id = %(account)s AND site_id = %(workflow)s

-- name: renew_lease
UPDATE runs SET lease_until = greatest(lease_until, coalesce(%(until)s, now()) + %(lease)s)
WHERE account_id = %(account)s AND id = %(run)s AND status IN ('running', 'paused')

-- name: pause_run
UPDATE runs SET status = 'paused', paused_at = now()
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND (%(run)s::bigint IS NULL OR id = %(run)s)
    AND status = 'running' AND NOT cancel_requested
RETURNING id

-- name: resume_run
UPDATE runs SET status = 'running', resumed_at = now()
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND (%(run)s::bigint IS NULL OR id = %(run)s)
    AND status = 'paused' AND NOT cancel_requested
RETURNING id

-- name: cancel_run
UPDATE runs SET cancel_requested = true, cancelled_at = now()
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND (%(run)s::bigint IS NULL OR id = %(run)s)
    AND status IN ('running', 'paused') AND NOT cancel_requested
RETURNING id

-- name: run_left_undone
SELECT EXISTS (
    SELECT FROM stage_results
    WHERE account_id = %(account)s AND run_id = %(run)s AND (failed > 0 OR partial IS NOT NULL))

-- name: finish_run
UPDATE runs SET status = %(status)s, error_message = %(error)s, completed_at = now(), current_stage = NULL,
    rollback_requested_by = NULL
WHERE account_id = %(account)s AND id = %(run)s

-- name: set_current_stage
UPDATE runs SET current_stage = %(stage)s WHERE account_id = %(account)s AND id = %(run)s

-- name: insert_event
WITH next AS (
    UPDATE runs SET last_event = last_event + 1 WHERE account_id = %(account)s AND id = %(run)s RETURNING last_event)
INSERT INTO run_events (account_id, run_id, id, stage, kind, level, message, data)
SELECT %(account)s, %(run)s, last_event, %(stage)s::text, %(kind)s, %(level)s, %(message)s, %(data)s::jsonb FROM next

-- name: plan_stage
INSERT INTO stage_results AS s (account_id, run_id, stage, planned, skipped, completed_at)
VALUES (%(account)s, %(run)s, %(stage)s, %(planned)s, %(skipped)s,
    CASE WHEN %(planned)s::bigint = 0 THEN now() END)
ON CONFLICT (run_id, stage) DO UPDATE
SET planned = s.processed + excluded.planned, skipped = excluded.skipped, partial = NULL, failed = 0,
    completed_at = excluded.completed_at

-- name: stage_begun
-- For stages that items come to one by one: how many is known only in the end.
INSERT INTO stage_results AS s (account_id, run_id, stage, planned)
VALUES (%(account)s, %(run)s, %(stage)s, 1)
ON CONFLICT (run_id, stage) DO UPDATE SET planned = s.planned + 1

-- name: add_to_stage
UPDATE stage_results SET
    processed = processed + %(processed)s, created = created + %(created)s, words = words + %(words)s,
    credits = credits + %(credits)s
WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s

-- name: finish_batch
UPDATE stage_results SET
    batches = batches + %(batches)s, partial = coalesce(%(partial)s, partial),
    failed = (SELECT count(*) FROM item_failures AS f
              WHERE f.account_id = %(account)s AND f.run_id = %(run)s AND f.stage = %(stage)s),
    completed_at = now()
WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s

-- name: finish_stage
UPDATE stage_results SET output = %(output)s, completed_at = now()
WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s

-- name: stage_clock
SELECT
    (SELECT started_at FROM stage_results
     WHERE account_id = %(account)s AND run_id = %(run)s AND stage = %(stage)s) AS started_at,
    (SELECT max(completed_at) FROM stage_results
     WHERE account_id = %(account)s AND run_id = %(run)s AND stage <> %(stage)s AND processed > 0) AS previous_end

-- name: record_item_failure
INSERT INTO item_failures AS f (account_id, workflow_id, stage, item, error_class, error, run_id)
VALUES (%(account)s, %(workflow)s, %(stage)s, %(item)s, %(error_class)s, %(error)s, %(run)s)
ON CONFLICT (workflow_id, stage, item) DO UPDATE
SET attempts = f.attempts + 1, error_class = excluded.error_class, error = excluded.error, run_id = excluded.run_id,
    at = now()

-- name: clear_item_failure
DELETE FROM item_failures
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND stage = %(stage)s AND item = %(item)s

-- name: failed_since_opened
SELECT f.item FROM item_failures AS f JOIN runs AS r ON r.account_id = f.account_id AND r.id = f.run_id
WHERE f.account_id = %(account)s AND f.run_id = %(run)s AND f.stage = %(stage)s AND f.at > r.opened_at

-- name: lock_run
SELECT id FROM runs WHERE account_id = %(account)s AND id = %(run)s FOR NO KEY UPDATE

-- name: rollback_requested_by
SELECT rollback_requested_by FROM runs WHERE account_id = %(account)s AND id = %(run)s

-- name: rollback_done
UPDATE runs SET rollback_requested_by = NULL, cancel_requested = cancel_requested OR %(cancelled)s,
    cancelled_at = CASE WHEN %(cancelled)s THEN coalesce(cancelled_at, now()) ELSE cancelled_at END
WHERE account_id = %(account)s AND id = %(run)s

-- name: rollback_report
SELECT report FROM rollbacks WHERE account_id = %(account)s AND run_id = %(run)s

-- name: save_rollback
INSERT INTO rollbacks (account_id, run_id, report) VALUES (%(account)s, %(run)s, %(report)s)
ON CONFLICT (run_id) DO UPDATE SET report = excluded.report WHERE rollbacks.account_id = %(account)s
