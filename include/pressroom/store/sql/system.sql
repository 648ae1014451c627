-- Statements over all accounts, for DAG files and for commands of the installation's operator. No request of a tenant
-- may use them.

-- name: statement_timeout
-- Sets the transaction's statement timeout.
SELECT set_config('statement_timeout', %(milliseconds)s, true)

-- name: read_accounts
-- Returns all accounts with their members, grants and channels of notices, by slug.
SELECT
    accounts.id, accounts.slug, accounts.definition,
    (SELECT coalesce(jsonb_object_agg(username, role), '{}') FROM members
     WHERE members.account_id = accounts.id) AS members,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(kind, name)), '[]') FROM grants
     WHERE grants.account_id = accounts.id) AS grants,
    (SELECT jsonb_agg(channels.definition ORDER BY channels.name COLLATE "C") FROM notice_channels AS channels
     WHERE channels.account_id = accounts.id) AS notices
FROM accounts
ORDER BY accounts.slug COLLATE "C"

-- name: access_of_accounts
-- Returns what accounts may name: what each is granted, and what is shared. `alone`: there is no other account, and this
-- one is granted nothing.
SELECT accounts.id, accounts.slug,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(kind, name)), '[]') FROM grants
     WHERE grants.account_id IS NULL OR grants.account_id = accounts.id) AS names,
    NOT EXISTS (SELECT FROM grants WHERE grants.account_id = accounts.id)
        AND NOT EXISTS (SELECT FROM accounts AS other WHERE other.id <> accounts.id) AS alone
FROM accounts
WHERE accounts.id = ANY(%(accounts)s::bigint[])

-- name: shared_grants
-- Returns what every account may name.
SELECT kind, name FROM grants WHERE account_id IS NULL ORDER BY kind, name

-- name: grants_of_account
-- Returns what an account itself is granted.
SELECT kind, name FROM grants WHERE account_id = %(of)s

-- name: grant_to
-- Inserts a grant: to an account, or to every account when `to` is null. No row when there is one.
INSERT INTO grants (account_id, kind, name, granted_by) VALUES (%(to)s::bigint, %(kind)s, %(name)s, %(by)s)
ON CONFLICT DO NOTHING

-- name: grant_take_back
-- Deletes a grant to an account, or to every account when `of` is null. No row when there is none.
DELETE FROM grants
WHERE account_id IS NOT DISTINCT FROM %(of)s::bigint AND kind = %(kind)s AND name = %(name)s

-- name: grants_listed
-- Returns grants with their accounts: those of one account with what is shared, or all of them when `slug` is null.
SELECT accounts.slug AS account, kind, grants.name, granted_by, granted_at
FROM grants LEFT JOIN accounts ON accounts.id = grants.account_id
WHERE %(slug)s::text IS NULL OR accounts.slug = %(slug)s OR grants.account_id IS NULL
ORDER BY accounts.slug NULLS FIRST, kind, grants.name

-- name: read_brands
-- Returns all brand contexts, by account and slug.
SELECT accounts.slug AS account_slug, brand_contexts.slug, brand_contexts.definition
FROM brand_contexts
JOIN accounts ON accounts.id = brand_contexts.account_id
ORDER BY accounts.slug COLLATE "C", brand_contexts.slug COLLATE "C"

-- name: read_sites
-- Returns sites with account, brand context and automation, by slug. `active_only`: a disabled site is included while a
-- run is live, so that the run keeps its DAG. `shard` of `shards`: one part of them.
SELECT
    sites.id AS workflow_id, sites.account_id, sites.slug, sites.status, sites.definition,
    accounts.slug AS account_slug, accounts.definition AS account,
    brand_contexts.id AS brand_id, brand_contexts.definition AS brand,
    to_jsonb(automation) AS automation, workflows.scheduled_since
FROM sites
JOIN workflows ON workflows.id = sites.id
JOIN accounts ON accounts.id = sites.account_id
LEFT JOIN brand_contexts ON brand_contexts.id = sites.brand_context_id
LEFT JOIN automation_configs AS automation ON automation.site_id = sites.id
WHERE (%(id)s::bigint IS NULL OR sites.id = %(id)s)
    AND (%(slug)s::text IS NULL OR sites.slug = %(slug)s)
    AND (NOT %(active_only)s::boolean OR sites.status = 'active' OR EXISTS (
        SELECT FROM runs WHERE runs.workflow_id = sites.id AND runs.status IN ('running', 'paused')))
    AND (%(shards)s::integer IS NULL OR workflows.slug_hash %% %(shards)s = %(shard)s)
ORDER BY sites.slug COLLATE "C"

-- name: read_missions
-- Returns missions with account and brand context, by slug. `active_only`: no drafts, unless a run is live. A mission
-- that ran once keeps its DAG, and so its history.
SELECT
    missions.id AS workflow_id, missions.account_id, missions.slug, missions.status, missions.definition,
    missions.completed_why,
    accounts.slug AS account_slug, accounts.definition AS account,
    brand_contexts.id AS brand_id, brand_contexts.definition AS brand, workflows.scheduled_since
FROM missions
JOIN workflows ON workflows.id = missions.id
JOIN accounts ON accounts.id = missions.account_id
LEFT JOIN brand_contexts ON brand_contexts.id = missions.brand_context_id
WHERE (%(id)s::bigint IS NULL OR missions.id = %(id)s)
    AND (%(slug)s::text IS NULL OR missions.slug = %(slug)s)
    AND (NOT %(active_only)s::boolean OR missions.status <> 'draft' OR EXISTS (
        SELECT FROM runs WHERE runs.workflow_id = missions.id AND runs.status IN ('running', 'paused')))
    AND (%(shards)s::integer IS NULL OR workflows.slug_hash %% %(shards)s = %(shard)s)
ORDER BY missions.slug COLLATE "C"

-- name: workflow_slugs
-- Returns kind and slug of all workflows.
SELECT kind, slug FROM workflows ORDER BY kind, slug COLLATE "C"

-- name: live_workflows
-- Returns kind and slug of the workflows with a live run.
SELECT workflows.kind, workflows.slug FROM runs JOIN workflows ON workflows.id = runs.workflow_id
WHERE runs.status IN ('running', 'paused')

-- name: definition_marks
-- Returns for each of a kind's dag files (`files`: how many the kind has) a mark that differs when a definition in it
-- was added, changed or retired.
SELECT kind, workflows.slug_hash %% files AS part,
    sum(hashtextextended(concat_ws(' ', workflows.id, workflows.scheduled_since, updated_at), 0))::text AS mark
FROM workflows
JOIN unnest(%(kinds)s::text[], %(files)s::integer[]) AS kinds (kind, files) USING (kind)
JOIN (
    SELECT id, updated_at FROM sites
    UNION ALL SELECT site_id, updated_at FROM automation_configs
    UNION ALL SELECT id, updated_at FROM missions
    UNION ALL SELECT id, updated_at FROM flows
) AS changes ON changes.id = workflows.id
GROUP BY kind, part

-- name: runs_to_reconcile
-- Returns the live runs of all accounts, and those whose end Airflow does not show yet.
SELECT runs.id, runs.account_id, runs.workflow_id, workflows.kind, runs.dag_id, runs.dag_run_id, runs.opened_at,
    extract(epoch FROM now() - runs.opened_at)::float8 AS age, runs.marked,
    runs.status IN ('running', 'paused') AS live, runs.cancel_requested AS cancelled
FROM runs JOIN workflows ON workflows.id = runs.workflow_id
WHERE runs.status IN ('running', 'paused') OR NOT runs.shown

-- name: run_shown
-- Records that Airflow shows the end of a run.
UPDATE runs SET shown = true WHERE id = %(run)s

-- name: account_of_dag_run
-- Returns the account of the run of a DAG run.
SELECT account_id FROM runs WHERE dag_id = %(dag_id)s AND dag_run_id = %(dag_run_id)s

-- name: save_account
-- Inserts or updates an account. Returns its id.
INSERT INTO accounts (slug, name, definition)
VALUES (%(slug)s, %(title)s, %(definition)s::jsonb)
ON CONFLICT (slug) DO UPDATE
SET name = excluded.name, definition = excluded.definition, updated_at = now()
RETURNING id

-- name: gate_by_id
-- Returns a gate of any account.
SELECT gates.id, gates.account_id, gates.item_id, gates.step, gates.by, gates.subject, gates.token_hash, gates.due_at,
    gates.on_timeout, gates.outcome, gates.answer, gates.answered_by, gates.task,
    gates.due_at <= now() AS due, items.source ->> 'title' AS title
FROM gates JOIN flow_items AS items ON items.id = gates.item_id
WHERE gates.id = %(gate)s::bigint

-- name: read_flows
-- Returns flows with account and brand context, by slug. `active_only`: a disabled flow is included while a run is
-- live. `own_asset`: the asset that it waits for, when that is one of the account's own sites'.
SELECT
    flows.id AS workflow_id, flows.account_id, flows.slug, flows.status, flows.definition,
    accounts.slug AS account_slug, accounts.definition AS account,
    brand_contexts.id AS brand_id, brand_contexts.definition AS brand, workflows.scheduled_since,
    (SELECT flows.definition #>> '{trigger,asset}' FROM sites
     WHERE sites.account_id = flows.account_id
        AND flows.definition #>> '{trigger,asset}' = 'pressroom://site/' || sites.slug || '/approved') AS own_asset
FROM flows
JOIN workflows ON workflows.id = flows.id
JOIN accounts ON accounts.id = flows.account_id
LEFT JOIN brand_contexts ON brand_contexts.id = flows.brand_context_id
WHERE (%(id)s::bigint IS NULL OR flows.id = %(id)s)
    AND (%(slug)s::text IS NULL OR flows.slug = %(slug)s)
    AND (NOT %(active_only)s::boolean OR flows.status = 'active' OR EXISTS (
        SELECT FROM runs WHERE runs.workflow_id = flows.id AND runs.status IN ('running', 'paused')))
    AND (%(shards)s::integer IS NULL OR workflows.slug_hash %% %(shards)s = %(shard)s)
ORDER BY flows.slug COLLATE "C"

-- name: renew_due_leases
-- Extends the leases of live runs to `lease` from now, unless that was done less than `every` ago. A run that another
-- process is at is left for the next time.
UPDATE runs SET lease_until = now() + %(lease)s
WHERE id IN (
    SELECT id FROM runs
    WHERE id = ANY(%(runs)s::bigint[]) AND status IN ('running', 'paused')
        AND lease_until < now() + %(lease)s::interval - %(every)s::interval
    FOR NO KEY UPDATE SKIP LOCKED)

-- name: runs_watched
-- Returns runs of any account.
SELECT id, account_id, workflow_id, dag_id, dag_run_id, status, cancel_requested, cancel_now, owner, started_at,
    lease_until, current_stage, params
FROM runs WHERE id = ANY(%(runs)s::bigint[])

-- name: gates_watched_time_out
-- Answers gates whose time is over, by the database's clock; they are named by item and step. A gate for the time alone
-- approves.
UPDATE gates SET outcome = CASE WHEN by = 'time' THEN 'approve' ELSE on_timeout END, answered_by = 'the time',
    answered_at = now(), answer = '{}'
FROM unnest(%(items)s::bigint[], %(steps)s::text[]) AS watched (item, step)
WHERE gates.item_id = watched.item AND gates.step = watched.step AND gates.outcome IS NULL AND gates.due_at <= now()

-- name: gates_watched
-- Returns gates of any account, named by item and step.
SELECT gates.item_id, gates.step, gates.outcome
FROM gates JOIN unnest(%(items)s::bigint[], %(steps)s::text[]) AS watched (item, step)
    ON gates.item_id = watched.item AND gates.step = watched.step

-- name: airflow_users_forget
-- Deletes the users of Airflow other than these.
DELETE FROM airflow_users WHERE name <> ALL(%(names)s::text[])

-- name: airflow_user_save
-- Saves a user of Airflow.
INSERT INTO airflow_users (name, airflow_id, administers) VALUES (%(name)s, %(id)s, %(admin)s)
ON CONFLICT (name) DO UPDATE SET airflow_id = excluded.airflow_id, administers = excluded.administers

-- name: accounts_and_roles
-- Returns all accounts, and whether Airflow's auth manager is known to have their roles.
SELECT slug, airflow_roles FROM accounts ORDER BY slug COLLATE "C"

-- name: accounts_have_roles
-- Marks accounts as having their roles in Airflow's auth manager.
UPDATE accounts SET airflow_roles = true WHERE slug = ANY(%(slugs)s::text[])

-- name: claim_stray_batches
-- Returns batches that are not over, and whose run is, when a look at them is due: a tenth of their age after the last
-- one, at least one minute and at most ten. That they are looked at is noted.
UPDATE model_batches AS batches SET looked_at = now()
FROM runs
WHERE runs.account_id = batches.account_id AND runs.id = batches.run_id
  AND batches.status NOT IN ('ended', 'refused') AND runs.status NOT IN ('running', 'paused')
  AND (batches.looked_at IS NULL
       OR batches.looked_at < now() - least(greatest((now() - batches.created_at) / 10, interval '1 minute'),
                                            interval '10 minutes'))
RETURNING batches.id, batches.account_id
