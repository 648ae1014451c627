-- Items of flows, gates and failures, in pages. Null filters match everything.

-- name: flow_items_page
-- Returns a page of flow items, highest id first.
SELECT items.id, items.flow_id, items.run_id, items.feed, items.source_id, items.source ->> 'title' AS title,
    items.source ->> 'url' AS url, items.step, items.status, items.reason, items.refused, items.created_at,
    items.ended_at
FROM flow_items AS items
WHERE items.account_id = %(account)s
    AND (%(item)s::bigint IS NULL OR items.id = %(item)s)
    AND (%(flow)s::bigint IS NULL OR items.flow_id = %(flow)s)
    AND (%(run)s::bigint IS NULL OR items.run_id = %(run)s)
    AND (%(status)s::text IS NULL OR items.status = %(status)s)
    AND (%(step)s::text IS NULL OR items.step = %(step)s)
    AND (%(before)s::bigint IS NULL OR items.id < %(before)s)
ORDER BY items.id DESC
LIMIT %(limit)s

-- name: gates_page
-- Returns a page of gates, highest id first. `open_only`: only those that can be answered.
SELECT gates.id, gates.item_id, items.flow_id, gates.step, gates.by, gates.subject, items.source ->> 'title' AS title,
    gates.due_at, gates.on_timeout, gates.outcome, gates.answer, gates.answered_by, gates.answered_at,
    gates.created_at, gates.task,
    gates.id IN (SELECT open.id FROM open_gates AS open WHERE open.account_id = %(account)s) AS open
FROM gates
JOIN flow_items AS items ON items.account_id = gates.account_id AND items.id = gates.item_id
WHERE gates.account_id = %(account)s
    AND (%(gate)s::bigint IS NULL OR gates.id = %(gate)s)
    AND (%(flow)s::bigint IS NULL OR items.flow_id = %(flow)s)
    AND (NOT %(open_only)s::boolean
        OR gates.id IN (SELECT open.id FROM open_gates AS open WHERE open.account_id = %(account)s))
    AND (%(before)s::bigint IS NULL OR gates.id < %(before)s)
ORDER BY gates.id DESC
LIMIT %(limit)s

-- name: failures_page
-- Returns a page of item failures, newest first. `at`, `last_workflow`, `last_stage`, `last_item`: those of the last
-- row shown.
SELECT f.workflow_id, workflows.kind, workflows.slug, f.stage, f.item, f.attempts, f.error_class, f.error, f.run_id, f.at
FROM item_failures AS f
JOIN workflows ON workflows.account_id = f.account_id AND workflows.id = f.workflow_id
WHERE f.account_id = %(account)s AND (%(workflow)s::bigint IS NULL OR f.workflow_id = %(workflow)s)
    AND (%(stage)s::text IS NULL OR f.stage = %(stage)s)
    AND (%(at)s::timestamptz IS NULL
        OR (f.at, f.workflow_id, f.stage, f.item)
            < (%(at)s, %(last_workflow)s::bigint, %(last_stage)s::text, %(last_item)s::text))
ORDER BY f.at DESC, f.workflow_id DESC, f.stage DESC, f.item DESC
LIMIT %(limit)s

-- name: flow_step_counts
-- Returns how many items are at each step of a flow: active ones of its live runs, those of them at an open gate, and
-- failed ones of its last run.
SELECT step, sum(active)::bigint AS active, sum(parked)::bigint AS parked, sum(failed)::bigint AS failed FROM (
    SELECT items.step, 1 AS active,
        CASE WHEN EXISTS (
            SELECT FROM gates
            WHERE gates.account_id = %(account)s AND gates.item_id = items.id AND gates.step = items.step
                AND gates.outcome IS NULL) THEN 1 ELSE 0 END AS parked, 0 AS failed
    FROM runs
    JOIN flow_items AS items ON items.account_id = runs.account_id AND items.run_id = runs.id AND items.status = 'active'
    WHERE runs.account_id = %(account)s AND runs.workflow_id = %(flow)s AND runs.status IN ('running', 'paused')
    UNION ALL
    SELECT items.step, 0, 0, 1
    FROM flow_items AS items
    WHERE items.account_id = %(account)s AND items.status = 'failed' AND items.run_id = (
        SELECT max(id) FROM runs WHERE account_id = %(account)s AND workflow_id = %(flow)s)
) AS counted
GROUP BY step ORDER BY step
