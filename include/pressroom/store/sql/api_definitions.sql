-- Definitions of one account and insights, in pages. `id`, `slug`, `status`: filters; null matches everything.

-- name: site_definitions
-- Returns a page of sites, highest id first. `live`: a run is running or paused.
SELECT sites.id, sites.slug, sites.status, sites.definition,
    greatest(sites.updated_at, automation.updated_at) AS updated_at,
    to_jsonb(automation) AS automation,
    EXISTS (
        SELECT FROM runs
        WHERE runs.account_id = %(account)s AND runs.workflow_id = sites.id AND runs.status IN ('running', 'paused')
    ) AS live
FROM sites
LEFT JOIN automation_configs AS automation
    ON automation.account_id = sites.account_id AND automation.site_id = sites.id
WHERE sites.account_id = %(account)s AND (%(id)s::bigint IS NULL OR sites.id = %(id)s)
    AND (%(slug)s::text IS NULL OR sites.slug = %(slug)s) AND (%(status)s::text IS NULL OR sites.status = %(status)s)
    AND (%(before)s::bigint IS NULL OR sites.id < %(before)s)
ORDER BY sites.id DESC
LIMIT %(limit)s

-- name: mission_definitions
-- Returns a page of missions with what they spent and their cycles, highest id first. `live`: a run is running or
-- paused.
SELECT missions.id, missions.slug, missions.status, missions.definition, missions.updated_at, missions.started_at,
    missions.completed_at, missions.completed_why,
    (SELECT coalesce(sum(cents), 0) FROM ledger
     WHERE account_id = %(account)s AND kind = 'cost' AND workflow_id = missions.id) AS spent_cents,
    (SELECT coalesce(max(number), 0) FROM cycles
     WHERE account_id = %(account)s AND mission_id = missions.id AND withdrawn_at IS NULL) AS cycles,
    EXISTS (
        SELECT FROM runs
        WHERE runs.account_id = %(account)s AND runs.workflow_id = missions.id
            AND runs.status IN ('running', 'paused')
    ) AS live
FROM missions
WHERE account_id = %(account)s AND (%(id)s::bigint IS NULL OR id = %(id)s)
    AND (%(slug)s::text IS NULL OR slug = %(slug)s) AND (%(status)s::text IS NULL OR status = %(status)s)
    AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC
LIMIT %(limit)s

-- name: flow_definitions
-- Returns a page of flows, highest id first. `live`: a run is running or paused.
SELECT flows.id, flows.slug, flows.status, flows.definition, flows.updated_at,
    EXISTS (
        SELECT FROM runs
        WHERE runs.account_id = %(account)s AND runs.workflow_id = flows.id AND runs.status IN ('running', 'paused')
    ) AS live
FROM flows
WHERE account_id = %(account)s AND (%(id)s::bigint IS NULL OR id = %(id)s)
    AND (%(slug)s::text IS NULL OR slug = %(slug)s) AND (%(status)s::text IS NULL OR status = %(status)s)
    AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC
LIMIT %(limit)s

-- name: brand_definitions
-- Returns a page of brand contexts, highest id first.
SELECT id, slug, definition, updated_at FROM brand_contexts
WHERE account_id = %(account)s AND (%(id)s::bigint IS NULL OR id = %(id)s)
    AND (%(slug)s::text IS NULL OR slug = %(slug)s) AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC
LIMIT %(limit)s

-- name: brand_slugs
-- Returns the slugs of all brand contexts.
SELECT slug FROM brand_contexts WHERE account_id = %(account)s ORDER BY slug COLLATE "C"

-- name: brand_users
-- Returns the workflows that use a brand context.
SELECT workflows.kind, workflows.slug FROM (
    SELECT id FROM sites WHERE account_id = %(account)s AND brand_context_id = %(brand)s
    UNION ALL SELECT id FROM missions WHERE account_id = %(account)s AND brand_context_id = %(brand)s
    UNION ALL SELECT id FROM flows WHERE account_id = %(account)s AND brand_context_id = %(brand)s
) AS users JOIN workflows ON workflows.account_id = %(account)s AND workflows.id = users.id
ORDER BY workflows.id

-- name: account_slug
-- Returns the account's slug.
SELECT slug FROM accounts WHERE id = %(account)s

-- name: insights_page
-- Returns a page of insights, highest id first, each with the change it led to. `in_force`: the change was neither
-- reverted nor replaced by a later one.
SELECT i.id, i.mission_id, missions.slug AS mission, cycles.number AS cycle, i.type, i.platform, i.factor, i.level,
    i.finding, i.confidence, i.action, i.evidence, i.created_at,
    c.id AS change_id, c.before, c.after, c.reverted_at, c.reverted_by,
    c.reverted_at IS NULL AND NOT EXISTS (
        SELECT FROM strategy_changes AS later
        WHERE later.account_id = %(account)s AND later.mission_id = c.mission_id AND later.platform = c.platform
            AND later.factor = c.factor AND later.id > c.id AND later.reverted_at IS NULL) AS in_force
FROM insights AS i
JOIN missions ON missions.account_id = i.account_id AND missions.id = i.mission_id
JOIN cycles ON cycles.account_id = i.account_id AND cycles.id = i.cycle_id
LEFT JOIN strategy_changes AS c
    ON c.account_id = i.account_id AND c.cycle_id = i.cycle_id AND c.platform = i.platform AND c.factor = i.factor
WHERE i.account_id = %(account)s AND (%(id)s::bigint IS NULL OR i.id = %(id)s)
    AND (%(mission)s::bigint IS NULL OR i.mission_id = %(mission)s)
    AND (%(before)s::bigint IS NULL OR i.id < %(before)s)
ORDER BY i.id DESC
LIMIT %(limit)s
