-- What an account's operation is doing, workflow by workflow, and whether that has changed.

-- name: operations
-- Returns the account's workflows by kind and slug: what waits for people, what failed, the last run that ended and the
-- month's spend. `last_slot`: as in last_runs, without which the next run of a schedule cannot be told.
SELECT workflows.id, workflows.kind, workflows.slug,
    coalesce(sites.definition ->> 'name', missions.definition ->> 'name', flows.definition ->> 'name', workflows.slug)
        AS name,
    coalesce(sites.status, missions.status, flows.status) AS status,
    to_jsonb(automation_configs) AS automation,
    flows.definition -> 'trigger' AS trigger,
    coalesce(missions.definition #>> '{constraints,timezone}', 'UTC') AS mission_timezone,
    (sites.definition #>> '{caps,month_cents}')::numeric AS month_cap,
    CASE workflows.kind
        WHEN 'site' THEN (SELECT count(*) FROM contents
            WHERE contents.account_id = %(account)s AND contents.site_id = workflows.id AND contents.status = 'review')
        WHEN 'mission' THEN (SELECT count(*) FROM posts
            WHERE posts.account_id = %(account)s AND posts.mission_id = workflows.id
                AND posts.status = 'pending_review')
        ELSE (SELECT count(*) FROM flow_items
            JOIN gates ON gates.account_id = %(account)s AND gates.item_id = flow_items.id
            WHERE flow_items.account_id = %(account)s AND flow_items.flow_id = workflows.id
                AND flow_items.status = 'active' AND gates.outcome IS NULL)
    END AS waiting,
    (SELECT count(*) FROM item_failures
        WHERE item_failures.account_id = %(account)s AND item_failures.workflow_id = workflows.id) AS failed_items,
    (SELECT count(*) FROM publications
        WHERE publications.account_id = %(account)s AND publications.workflow_id = workflows.id
            AND publications.status = 'unknown') AS unknown_publications,
    (SELECT count(*) FROM publications
        WHERE publications.account_id = %(account)s AND publications.workflow_id = workflows.id
            AND publications.status = 'failed') AS failed_publications,
    last.id AS last_id, last.status AS last_status, last.completed_at AS last_at, last.error_message AS last_error,
    (SELECT max(runs.slot) FROM runs
        WHERE runs.account_id = %(account)s AND runs.workflow_id = workflows.id AND runs.exclusive
            AND runs.slot IS NOT NULL
            AND EXISTS (SELECT FROM stage_results
                WHERE stage_results.account_id = %(account)s AND stage_results.run_id = runs.id)) AS last_slot,
    coalesce(spent.credits, 0) AS month_credits, coalesce(spent.cents, 0) AS month_cents
FROM workflows
LEFT JOIN sites ON sites.account_id = %(account)s AND sites.id = workflows.id
LEFT JOIN missions ON missions.account_id = %(account)s AND missions.id = workflows.id
LEFT JOIN flows ON flows.account_id = %(account)s AND flows.id = workflows.id
LEFT JOIN automation_configs ON automation_configs.account_id = %(account)s
    AND automation_configs.site_id = workflows.id
LEFT JOIN LATERAL (
    SELECT runs.id, runs.status, runs.completed_at, runs.error_message FROM runs
    WHERE runs.account_id = %(account)s AND runs.workflow_id = workflows.id
        AND runs.status NOT IN ('running', 'paused')
    ORDER BY runs.id DESC LIMIT 1
) AS last ON true
LEFT JOIN ledger_days AS spent ON spent.account_id = %(account)s AND spent.by = 'workflow_month'
    AND spent.day = date_trunc('month', now() AT TIME ZONE 'UTC')::date AND spent.key = workflows.id::text
WHERE workflows.account_id = %(account)s
ORDER BY workflows.kind, workflows.slug COLLATE "C"

-- name: account_mark
-- Returns a text that is another one after each decision, and after each event of a live run in the account.
SELECT concat_ws(':',
    (SELECT max(id) FROM audit_log WHERE account_id = %(account)s),
    (SELECT max(id) FROM runs WHERE account_id = %(account)s),
    (SELECT concat_ws(',', count(*), sum(last_event)) FROM runs
     WHERE account_id = %(account)s AND status IN ('running', 'paused')))

-- name: workflow_mark
-- Returns a text that is another one after each decision in the account, and after each event of the workflow's runs.
SELECT concat_ws(':',
    (SELECT max(id) FROM audit_log WHERE account_id = %(account)s),
    (SELECT concat_ws(',', id, status, last_event) FROM runs
     WHERE account_id = %(account)s AND workflow_id = %(workflow)s ORDER BY id DESC LIMIT 1),
    (SELECT concat_ws(',', count(*), sum(last_event)) FROM runs
     WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND status IN ('running', 'paused')))

-- name: run_stage_spend
-- Returns credits and cents of a run by stage.
SELECT coalesce(stage, '') AS stage, -sum(credits) AS credits, sum(cents) AS cents FROM ledger
WHERE account_id = %(account)s AND run_id = %(run)s
GROUP BY 1

-- name: workflow_of_dag
-- Returns the account's workflow behind a DAG's kind and slug.
SELECT id FROM workflows WHERE account_id = %(account)s AND kind = %(kind)s AND slug = %(slug)s

-- name: run_of_dag_run
-- Returns the account's run of a DAG run.
SELECT id FROM runs WHERE account_id = %(account)s AND dag_id = %(dag_id)s AND dag_run_id = %(dag_run_id)s
