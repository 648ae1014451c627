-- name: lock_definitions
-- Locks all definitions against other writers until the transaction ends.
SELECT pg_advisory_xact_lock(7305119)

-- name: clear_members
-- Deletes the account's members.
DELETE FROM members WHERE account_id = %(account)s

-- name: add_member
-- Inserts a member.
INSERT INTO members (account_id, username, role) VALUES (%(account)s, %(username)s, %(role)s)

-- name: is_own_asset
-- Returns whether an asset is the one that gets an event when articles of a site of the account are approved.
SELECT EXISTS (
    SELECT FROM sites
    WHERE account_id = %(account)s AND 'pressroom://site/' || slug || '/approved' = %(asset)s::text)

-- name: save_brand
-- Inserts or updates a brand context.
INSERT INTO brand_contexts (account_id, slug, definition)
VALUES (%(account)s, %(slug)s, %(definition)s::jsonb)
ON CONFLICT (account_id, slug) DO UPDATE SET definition = excluded.definition, updated_at = now()

-- name: delete_brand
-- Deletes a brand context that no site, mission or flow uses.
DELETE FROM brand_contexts
WHERE account_id = %(account)s AND slug = %(slug)s
    AND NOT EXISTS (
        SELECT FROM sites
        WHERE sites.account_id = %(account)s AND sites.brand_context_id = brand_contexts.id)
    AND NOT EXISTS (
        SELECT FROM missions
        WHERE missions.account_id = %(account)s AND missions.brand_context_id = brand_contexts.id)
    AND NOT EXISTS (
        SELECT FROM flows
        WHERE flows.account_id = %(account)s AND flows.brand_context_id = brand_contexts.id)

-- name: save_workflow
-- Inserts a workflow. Returns its id, also when the account has it already; no row when another account has the slug.
INSERT INTO workflows AS w (account_id, kind, slug) VALUES (%(account)s, %(kind)s, %(slug)s)
ON CONFLICT (kind, slug) DO UPDATE SET slug = excluded.slug WHERE w.account_id = %(account)s
RETURNING id

-- name: set_schedule
-- Sets what decides when a workflow's runs start by themselves, and notes since when it is so.
UPDATE workflows SET schedule = %(schedule)s, scheduled_since = now()
WHERE account_id = %(account)s AND kind = %(kind)s AND slug = %(slug)s AND schedule IS DISTINCT FROM %(schedule)s

-- name: save_site
-- Inserts or updates a site.
INSERT INTO sites (id, account_id, slug, status, brand_context_id, definition)
VALUES (
    %(workflow)s, %(account)s, %(slug)s, %(status)s,
    (SELECT id FROM brand_contexts WHERE account_id = %(account)s AND slug = %(brand)s),
    %(definition)s::jsonb)
ON CONFLICT (id) DO UPDATE
SET status = excluded.status, brand_context_id = excluded.brand_context_id,
    definition = excluded.definition, updated_at = now()
WHERE sites.account_id = %(account)s

-- name: save_flow
-- Inserts or updates a flow.
INSERT INTO flows (id, account_id, slug, status, brand_context_id, definition)
VALUES (
    %(workflow)s, %(account)s, %(slug)s, %(status)s,
    (SELECT id FROM brand_contexts WHERE account_id = %(account)s AND slug = %(brand)s),
    %(definition)s::jsonb)
ON CONFLICT (id) DO UPDATE
SET status = excluded.status, brand_context_id = excluded.brand_context_id, definition = excluded.definition,
    updated_at = now()
WHERE flows.account_id = %(account)s

-- name: disable_flow
-- Disables a flow.
UPDATE flows
SET status = 'disabled', definition = jsonb_set(definition, '{status}', '"disabled"'), updated_at = now()
WHERE account_id = %(account)s AND slug = %(slug)s

-- name: save_mission
-- Inserts or updates a mission. An update reopens a completed mission; its next run decides again whether it is over.
INSERT INTO missions (id, account_id, slug, status, brand_context_id, definition)
VALUES (
    %(workflow)s, %(account)s, %(slug)s, %(status)s,
    (SELECT id FROM brand_contexts WHERE account_id = %(account)s AND slug = %(brand)s),
    %(definition)s::jsonb)
ON CONFLICT (id) DO UPDATE
SET status = excluded.status, brand_context_id = excluded.brand_context_id, definition = excluded.definition,
    completed_at = NULL, completed_why = NULL, updated_at = now()
WHERE missions.account_id = %(account)s

-- name: pause_mission
-- Pauses a mission.
UPDATE missions
SET status = 'paused', definition = jsonb_set(definition, '{status}', '"paused"'), updated_at = now()
WHERE account_id = %(account)s AND slug = %(slug)s

-- name: disable_site
-- Disables a site.
UPDATE sites
SET status = 'disabled', definition = jsonb_set(definition, '{status}', '"disabled"'), updated_at = now()
WHERE account_id = %(account)s AND slug = %(slug)s

-- name: save_automation
-- Inserts or updates a site's automation settings.
INSERT INTO automation_configs (
    account_id, site_id, enabled, frequency, scheduled_time, timezone, cron, batch_sizes,
    within_stage_delay, between_stage_delay, concurrency, articles_per_run)
VALUES (
    %(account)s, %(site)s, %(enabled)s, %(frequency)s, %(time)s::time, %(timezone)s, %(cron)s,
    %(batch_sizes)s::jsonb, %(within_stage_delay)s, %(between_stage_delay)s, %(concurrency)s,
    %(articles_per_run)s)
ON CONFLICT (site_id) DO UPDATE
SET enabled = excluded.enabled, frequency = excluded.frequency, scheduled_time = excluded.scheduled_time,
    timezone = excluded.timezone, cron = excluded.cron, batch_sizes = excluded.batch_sizes,
    within_stage_delay = excluded.within_stage_delay, between_stage_delay = excluded.between_stage_delay,
    concurrency = excluded.concurrency, articles_per_run = excluded.articles_per_run, updated_at = now()
WHERE automation_configs.account_id = %(account)s

-- name: import_keyword
-- Inserts a keyword. No row when the site has it already.
INSERT INTO keywords (account_id, site_id, text, normalized, volume, difficulty, intent)
VALUES (%(account)s, %(site)s, %(text)s, %(normalized)s, %(volume)s, %(difficulty)s, %(intent)s)
ON CONFLICT (site_id, normalized) DO NOTHING

-- name: import_keywords
-- Inserts the keywords of `rows`, a JSON array of text, normalized text, volume, difficulty and intent each. No row for
-- those that the site has already.
INSERT INTO keywords (account_id, site_id, text, normalized, volume, difficulty, intent)
SELECT %(account)s, %(site)s, keyword->>0, keyword->>1, (keyword->>2)::integer, (keyword->>3)::numeric, keyword->>4
FROM jsonb_array_elements(%(rows)s::jsonb) WITH ORDINALITY AS listed (keyword, number)
ORDER BY number
ON CONFLICT (site_id, normalized) DO NOTHING

-- name: account_quotas
-- Returns the account's slug, and its quotas as far as they are stored.
SELECT slug, definition->'quotas' AS quotas FROM accounts WHERE id = %(account)s

-- name: quota_used
-- Returns how many rows the account has of what a quota bounds, or `most` when there are as many or more. `what` selects
-- one branch of the union; the others are not read.
SELECT count(*) FROM (
    (SELECT FROM sites WHERE %(what)s = 'sites' AND account_id = %(account)s LIMIT %(most)s)
    UNION ALL (SELECT FROM missions WHERE %(what)s = 'missions' AND account_id = %(account)s LIMIT %(most)s)
    UNION ALL (SELECT FROM flows WHERE %(what)s = 'flows' AND account_id = %(account)s LIMIT %(most)s)
    UNION ALL (SELECT FROM flows, jsonb_array_elements(definition->'steps') AS step
        WHERE %(what)s = 'gates' AND account_id = %(account)s AND step->>'type' = 'gate' LIMIT %(most)s)
    UNION ALL (SELECT FROM brand_contexts WHERE %(what)s = 'brand_contexts' AND account_id = %(account)s LIMIT %(most)s)
    UNION ALL (SELECT FROM keywords WHERE %(what)s = 'keywords' AND account_id = %(account)s LIMIT %(most)s)
    UNION ALL (SELECT FROM ideas WHERE %(what)s = 'ideas' AND account_id = %(account)s LIMIT %(most)s)
    UNION ALL (SELECT FROM contents WHERE %(what)s = 'articles' AND account_id = %(account)s LIMIT %(most)s)
    UNION ALL (SELECT FROM api_keys WHERE %(what)s = 'api_keys' AND account_id = %(account)s
        AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) LIMIT %(most)s)
    UNION ALL (SELECT FROM links WHERE %(what)s = 'links' AND account_id = %(account)s
        AND revoked_at IS NULL AND expires_at > now() LIMIT %(most)s)
) AS rows
