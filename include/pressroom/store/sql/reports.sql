-- What waits in each stage of a site, by item status alone.
-- name: site_pending
SELECT
    (SELECT count(*) FROM keywords
     WHERE account_id = %(account)s AND site_id = %(site)s
        AND status = 'new' AND NOT disabled) AS clusters,
    (SELECT count(*) FROM clusters
     WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'new' AND NOT disabled
        AND NOT EXISTS (SELECT FROM ideas WHERE ideas.account_id = %(account)s AND ideas.cluster_id = clusters.id)
    ) AS ideas,
    (SELECT count(*) FROM ideas
     WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'new' AND NOT disabled) AS tasks,
    (SELECT count(*) FROM tasks
     WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'queued'
        AND NOT EXISTS (SELECT FROM contents WHERE contents.account_id = %(account)s AND contents.task_id = tasks.id)
    ) AS content,
    (SELECT count(*) FROM contents
     WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'draft'
        AND NOT EXISTS (SELECT FROM images WHERE images.account_id = %(account)s AND images.content_id = contents.id)
    ) AS image_prompts,
    (SELECT count(*) FROM images
     WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'pending') AS images,
    (SELECT count(*) FROM contents
     WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'review') AS review

-- name: workflow_failed_counts
SELECT stage, count(*) AS failed FROM item_failures
WHERE account_id = %(account)s AND workflow_id = %(workflow)s
GROUP BY stage

-- name: workflow_failures
SELECT stage, item, attempts, error_class, error, run_id, at FROM item_failures
WHERE account_id = %(account)s AND workflow_id = %(workflow)s
ORDER BY at DESC, stage, item

-- name: forget_failures
DELETE FROM item_failures
WHERE account_id = %(account)s AND workflow_id = %(workflow)s
    AND (%(stage)s::text IS NULL OR stage = %(stage)s)

-- What a run used is what the ledger says, not a number kept beside it. Items wait for another try when the last
-- thing that work said is that a batch ended with some.
-- name: workflow_runs
SELECT
    runs.id, runs.dag_id, runs.dag_run_id, runs.trigger, runs.owner, runs.status, runs.cancel_requested,
    runs.current_stage, runs.estimated_credits, runs.error_message, runs.started_at, runs.paused_at,
    runs.resumed_at, runs.cancelled_at, runs.completed_at, runs.lease_until,
    runs.lease_until < now() AS lease_over,
    coalesce(used.credits, 0) AS credits_used, coalesce(used.cents, 0) AS cents,
    coalesce(last.items_wait, false) AS items_wait
FROM runs
LEFT JOIN LATERAL (
    SELECT -sum(ledger.credits) FILTER (WHERE ledger.kind = 'charge') AS credits,
        sum(ledger.cents) FILTER (WHERE ledger.kind = 'cost') AS cents
    FROM ledger WHERE ledger.account_id = %(account)s AND ledger.run_id = runs.id
) AS used ON true
LEFT JOIN LATERAL (
    SELECT kind = 'batch_done' AND (data ->> 'waiting')::int > 0 AS items_wait FROM run_events
    WHERE runs.status = 'running' AND account_id = %(account)s AND run_id = runs.id
        AND kind IN ('batch_done', 'item_done', 'item_waits', 'item_failed', 'stage_started', 'run_reopened')
    ORDER BY id DESC LIMIT 1
) AS last ON true
WHERE runs.account_id = %(account)s AND runs.workflow_id = %(workflow)s
    AND (%(run)s::bigint IS NULL OR runs.id = %(run)s)
ORDER BY runs.status IN ('running', 'paused') DESC, runs.id DESC
LIMIT %(limit)s

-- name: run_stage_results
SELECT
    stage, processed, created, words, batches, planned, credits, failed, skipped, partial, output,
    started_at, completed_at,
    round(extract(epoch FROM coalesce(completed_at, now()) - started_at), 1) AS time_elapsed
FROM stage_results
WHERE account_id = %(account)s AND run_id = %(run)s

-- name: run_log_tail
SELECT id, at, stage, kind, level, message, data FROM (
    SELECT id, at, stage, kind, level, message, data FROM run_events
    WHERE account_id = %(account)s AND run_id = %(run)s
    ORDER BY id DESC LIMIT %(lines)s
) AS newest
ORDER BY id

-- name: run_log_after
SELECT id, at, stage, kind, level, message, data FROM run_events
WHERE account_id = %(account)s AND run_id = %(run)s AND id > %(after)s
ORDER BY id LIMIT %(lines)s

-- name: articles_for_review
SELECT contents.id, contents.title, contents.word_count, contents.model,
    (SELECT count(*) FROM images
     WHERE images.account_id = %(account)s AND images.content_id = contents.id AND images.status = 'generated') AS images
FROM contents
WHERE contents.account_id = %(account)s AND contents.site_id = %(site)s AND contents.status = 'review'
ORDER BY contents.id

-- name: models_of_run
SELECT DISTINCT model FROM ai_calls WHERE account_id = %(account)s AND run_id = %(run)s AND kind = 'text' ORDER BY model
