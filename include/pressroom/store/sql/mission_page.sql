-- What a mission's report shows of its cycles that were not withdrawn: their calendar, posts and publications.

-- name: page_mission
-- Returns the mission, its spent cents, and why its last run failed.
SELECT id, status, definition, started_at, completed_at, completed_why,
    (SELECT CASE WHEN status = 'failed' THEN error_message END FROM runs
     WHERE account_id = %(account)s AND workflow_id = missions.id ORDER BY id DESC LIMIT 1) AS last_failure,
    (SELECT coalesce(sum(cents), 0) FROM ledger
     WHERE account_id = %(account)s AND kind = 'cost' AND workflow_id = missions.id) AS spent_cents
FROM missions WHERE account_id = %(account)s AND id = %(mission)s

-- name: page_cycles
-- Returns the cycles, newest first, each with its last snapshot and its optimization.
SELECT cycles.id, cycles.number, cycles.run_id, cycles.starts_at, cycles.ends_at, cycles.closes_at, cycles.context,
    cycles.brand ->> 'name' AS brand, cycles.strategy, cycles.measured_at, cycles.optimized_at,
    last.output AS snapshot, optimizations.output AS optimization
FROM cycles
LEFT JOIN LATERAL (
    SELECT at, output FROM snapshots
    WHERE account_id = %(account)s AND cycle_id = cycles.id ORDER BY at DESC LIMIT 1) AS last ON true
LEFT JOIN optimizations ON optimizations.account_id = cycles.account_id AND optimizations.cycle_id = cycles.id
WHERE cycles.account_id = %(account)s AND cycles.mission_id = %(mission)s AND cycles.withdrawn_at IS NULL
ORDER BY cycles.number DESC

-- name: page_slots
-- Returns the slots by time, each with the error of its writing.
SELECT slots.id, slots.cycle_id, slots.at, slots.platform, slots.choices, slots.explores, slots.topic, slots.angle,
    slots.status, coalesce(f.error, '') AS error
FROM slots
JOIN cycles ON cycles.account_id = slots.account_id AND cycles.id = slots.cycle_id AND cycles.withdrawn_at IS NULL
LEFT JOIN item_failures AS f
    ON f.account_id = slots.account_id AND f.workflow_id = slots.mission_id AND f.stage = 'content'
    AND f.item = slots.id::text
WHERE slots.account_id = %(account)s AND slots.mission_id = %(mission)s AND slots.status <> 'withdrawn'
ORDER BY slots.at, slots.platform, slots.id

-- name: page_posts
-- Returns the posts by slot and variant, each with the error of its publishing. `approved_as_is`: the approval is for
-- the present version.
SELECT posts.id, posts.slot_id, posts.variant, posts.platform, posts.format, posts.headline, posts.cta, posts.parts,
    posts.hashtags, posts.mentions, posts.adaptations, posts.options, posts.media_url, posts.media_type,
    posts.media_alt, posts.confidence, posts.model, posts.status, posts.approved_by,
    posts.approved_hash = posts.content_hash AS approved_as_is, posts.review_note, coalesce(f.error, '') AS error
FROM posts
JOIN cycles ON cycles.account_id = posts.account_id AND cycles.id = posts.cycle_id AND cycles.withdrawn_at IS NULL
LEFT JOIN item_failures AS f
    ON f.account_id = posts.account_id AND f.workflow_id = posts.mission_id AND f.stage = 'publish'
    AND f.item = posts.id::text
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s AND posts.status <> 'archived'
ORDER BY posts.slot_id, posts.variant, posts.id

-- name: page_publications
-- Returns the publications of the posts.
SELECT posts.id AS post, p.target, p.status, p.scheduled_for, p.external_id, p.preview_url, p.public_url, p.attempts,
    p.error, p.attempted_at, p.accepted_at, p.confirmed_at
FROM publications AS p
JOIN posts ON posts.account_id = p.account_id AND posts.mission_id = p.workflow_id
    AND p.content = 'post:' || posts.id
WHERE p.account_id = %(account)s AND p.workflow_id = %(mission)s
ORDER BY p.id

-- name: page_rollbacks
-- Returns the reports of rollbacks, newest first.
SELECT runs.dag_run_id AS run, runs.error_message, rollbacks.report, rollbacks.created_at AS at,
    (SELECT max(number) FROM cycles WHERE account_id = %(account)s AND run_id = runs.id) AS cycle
FROM rollbacks JOIN runs ON runs.account_id = rollbacks.account_id AND runs.id = rollbacks.run_id
WHERE rollbacks.account_id = %(account)s AND runs.workflow_id = %(mission)s
ORDER BY rollbacks.created_at DESC, runs.id DESC
