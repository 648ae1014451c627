-- Runs as jobs: pages of them, and what one works on now.

-- name: runs_page
-- Returns a page of runs, highest id first, with state, credits and cents. `state` is JobState's: a run is retrying
-- when its lease is over, or when its last event of work is a batch that left items waiting. Credits and cents come
-- from the ledger, and only for the page's runs.
SELECT page.*, coalesce(used.credits, 0) AS credits_used, coalesce(used.cents, 0) AS cents
FROM (
    SELECT * FROM (
        SELECT
            runs.id, runs.dag_id, runs.dag_run_id, runs.trigger, runs.owner, runs.status, runs.cancel_requested,
            CASE WHEN workflows.kind = 'flow' AND runs.status IN ('running', 'paused') THEN coalesce(
                -- The first step at which an item is.
                (SELECT step.value ->> 'name'
                 FROM jsonb_array_elements(runs.definition -> 'workflow' -> 'steps') WITH ORDINALITY AS step
                 WHERE EXISTS (
                    SELECT FROM flow_items AS items
                    WHERE items.account_id = %(account)s AND items.run_id = runs.id AND items.status = 'active'
                        AND items.step = step.value ->> 'name')
                 ORDER BY step.ordinality LIMIT 1),
                runs.current_stage) ELSE runs.current_stage END AS current_stage,
            runs.estimated_credits, runs.error_message, runs.started_at, runs.paused_at,
            runs.resumed_at, runs.cancelled_at, runs.completed_at, runs.lease_until,
            runs.lease_until < now() AS lease_over, runs.workflow_id, workflows.kind, workflows.slug,
            CASE
                WHEN runs.status = 'running' AND runs.current_stage IS NULL THEN 'pending'
                WHEN runs.status = 'running' AND (runs.lease_until < now() OR coalesce(last.items_wait, false))
                    THEN 'retrying'
                WHEN runs.status = 'partial' THEN 'completed'
                ELSE runs.status
            END AS state
        FROM runs
        JOIN workflows ON workflows.account_id = runs.account_id AND workflows.id = runs.workflow_id
        LEFT JOIN LATERAL (
            SELECT kind = 'batch_done' AND (data ->> 'waiting')::int > 0 AS items_wait FROM run_events
            WHERE runs.status = 'running' AND account_id = %(account)s AND run_id = runs.id
                AND kind IN ('batch_done', 'item_done', 'item_waits', 'item_failed', 'stage_started', 'run_reopened')
            ORDER BY id DESC LIMIT 1
        ) AS last ON true
        WHERE runs.account_id = %(account)s
            AND (%(run)s::bigint IS NULL OR runs.id = %(run)s)
            AND (%(live)s::boolean IS NULL OR (runs.status IN ('running', 'paused')) = %(live)s)
            AND (%(workflow)s::bigint IS NULL OR runs.workflow_id = %(workflow)s)
            AND (%(kind)s::text IS NULL OR workflows.kind = %(kind)s)
            -- A DAG's name is kind__slug, or kind__slug__part.
            AND (%(part)s::text IS NULL OR split_part(runs.dag_id, '__', 3) = %(part)s)
            AND (%(before)s::bigint IS NULL OR runs.id < %(before)s)
            AND (%(trigger)s::text IS NULL OR runs.trigger = %(trigger)s)
            AND (%(since)s::timestamptz IS NULL OR runs.started_at >= %(since)s)
            AND (%(until)s::timestamptz IS NULL OR runs.started_at < %(until)s)
            -- The statuses that this state can have: an index finds those rows.
            AND (%(state)s::text IS NULL OR runs.status = ANY (
                CASE %(state)s WHEN 'completed' THEN '{completed,partial}' WHEN 'pending' THEN '{running}'
                    WHEN 'retrying' THEN '{running}' ELSE ARRAY[%(state)s] END::text[]))
    ) AS runs_of_account
    WHERE %(state)s::text IS NULL OR state = %(state)s
    ORDER BY id DESC
    LIMIT %(limit)s
) AS page
LEFT JOIN LATERAL (
    SELECT -sum(ledger.credits) FILTER (WHERE ledger.kind = 'charge') AS credits,
        sum(ledger.cents) FILTER (WHERE ledger.kind = 'cost') AS cents
    FROM ledger WHERE ledger.account_id = %(account)s AND ledger.run_id = page.id
) AS used ON true
ORDER BY page.id DESC

-- name: items_in_work
-- Returns the items of a site that a run's workers have reserved credits for: those that are worked on now. `path`: where
-- the API has the item, below its base.
WITH held AS (
    SELECT stage, item, at, CASE WHEN item ~ '^[0-9]{1,18}$' THEN item::bigint END AS number FROM reservations
    WHERE account_id = %(account)s AND run_id = %(run)s
    ORDER BY at, stage, item
    LIMIT 50
)
SELECT held.stage, held.item, held.at AS since,
    CASE held.stage
        WHEN 'clusters' THEN 'a group of keywords'
        WHEN 'images' THEN coalesce(pictured.title || ', picture ' || (images.position + 1), held.item)
        ELSE coalesce(clusters.name, ideas.title, contents.title, held.item)
    END AS title,
    CASE
        WHEN clusters.id IS NOT NULL THEN 'clusters/' || clusters.id
        WHEN ideas.id IS NOT NULL THEN 'ideas/' || ideas.id
        WHEN contents.id IS NOT NULL THEN 'content/art_' || contents.id
        WHEN images.id IS NOT NULL THEN 'content/art_' || images.content_id
    END AS path
FROM held
LEFT JOIN clusters ON clusters.account_id = %(account)s AND held.stage = 'ideas' AND clusters.id = held.number
LEFT JOIN tasks ON tasks.account_id = %(account)s AND held.stage = 'content' AND tasks.id = held.number
LEFT JOIN ideas ON ideas.account_id = %(account)s
    AND ideas.id = CASE held.stage WHEN 'tasks' THEN held.number ELSE tasks.idea_id END
LEFT JOIN contents ON contents.account_id = %(account)s AND held.stage = 'image_prompts' AND contents.id = held.number
LEFT JOIN images ON images.account_id = %(account)s AND held.stage = 'images' AND images.id = held.number
LEFT JOIN contents AS pictured ON pictured.account_id = %(account)s AND pictured.id = images.content_id
ORDER BY held.at, held.stage, held.item

-- name: items_done_last
-- Returns the last five items that a run finished, newest first.
SELECT stage, message AS label, at FROM run_events
WHERE account_id = %(account)s AND run_id = %(run)s AND kind = 'item_done'
ORDER BY id DESC
LIMIT 5

-- name: site_status_counts
-- Returns a site's items by stage and status; a stage's items are its input.
SELECT 'clusters' AS stage, CASE WHEN disabled THEN 'disabled' ELSE status END AS status, count(*) AS items
FROM keywords WHERE account_id = %(account)s AND site_id = %(site)s GROUP BY 2
UNION ALL
SELECT 'ideas', CASE WHEN disabled THEN 'disabled' ELSE status END, count(*)
FROM clusters WHERE account_id = %(account)s AND site_id = %(site)s GROUP BY 2
UNION ALL
SELECT 'tasks', CASE WHEN disabled THEN 'disabled' ELSE status END, count(*)
FROM ideas WHERE account_id = %(account)s AND site_id = %(site)s GROUP BY 2
UNION ALL
SELECT 'content', status, count(*) FROM tasks WHERE account_id = %(account)s AND site_id = %(site)s GROUP BY 2
UNION ALL
SELECT 'image_prompts', status, count(*) FROM contents WHERE account_id = %(account)s AND site_id = %(site)s GROUP BY 2
UNION ALL
SELECT 'images', status, count(*) FROM images WHERE account_id = %(account)s AND site_id = %(site)s GROUP BY 2
UNION ALL
SELECT 'review', status, count(*) FROM contents
WHERE account_id = %(account)s AND site_id = %(site)s AND status NOT IN ('draft', 'archived') GROUP BY 2

-- name: last_runs
-- Returns when the last run that has begun a stage was started, and the slot of the last such run of the schedule. Runs
-- of a part of the workflow do not count.
SELECT max(started_at) AS last_run_at, max(slot) AS last_slot FROM runs
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND exclusive
    AND EXISTS (
        SELECT FROM stage_results
        WHERE stage_results.account_id = runs.account_id AND stage_results.run_id = runs.id)

-- name: request_rollback
-- Records who asked for a run's rollback.
UPDATE runs SET rollback_requested_by = %(by)s WHERE account_id = %(account)s AND id = %(run)s

-- name: live_among
-- Returns which of several runs are live.
SELECT id FROM runs WHERE account_id = %(account)s AND id = ANY (%(runs)s::bigint[]) AND status IN ('running', 'paused')
