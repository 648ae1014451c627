-- Cycles of a mission: their state, and what the stages wait for.

-- name: mission_state
-- Returns a mission's start, completion, spent cents, cycles, and the end of the last cycle.
SELECT missions.started_at, missions.completed_at, missions.completed_why,
    (SELECT coalesce(sum(cents), 0) FROM ledger
     WHERE account_id = %(account)s AND kind = 'cost' AND workflow_id = missions.id) AS spent_cents,
    (SELECT coalesce(max(number), 0) FROM cycles
     WHERE account_id = %(account)s AND mission_id = missions.id AND withdrawn_at IS NULL) AS cycles,
    (SELECT max(ends_at) FROM cycles
     WHERE account_id = %(account)s AND mission_id = missions.id AND withdrawn_at IS NULL) AS planned_until
FROM missions WHERE account_id = %(account)s AND id = %(mission)s

-- name: brand_of_mission
-- Returns the id of a mission's brand context.
SELECT brand_context_id FROM missions WHERE account_id = %(account)s AND id = %(mission)s

-- name: mission_started
-- Sets a mission's start unless it is set.
UPDATE missions SET started_at = coalesce(started_at, %(at)s)
WHERE account_id = %(account)s AND id = %(mission)s

-- name: mission_not_started
-- Clears the start of a mission that has no cycle left.
UPDATE missions SET started_at = NULL
WHERE account_id = %(account)s AND id = %(mission)s AND NOT EXISTS (
    SELECT FROM cycles WHERE account_id = %(account)s AND mission_id = missions.id AND withdrawn_at IS NULL)

-- name: mission_completed
-- Completes a mission. No row when it is completed.
UPDATE missions SET completed_at = %(at)s, completed_why = %(why)s
WHERE account_id = %(account)s AND id = %(mission)s AND completed_at IS NULL

-- name: cycle_of_run
-- Returns the run's cycle unless it was withdrawn.
SELECT id, number, run_id, starts_at, ends_at, closes_at, context, brand, strategy, parameters, measured_at,
    optimized_at
FROM cycles
WHERE account_id = %(account)s AND run_id = %(run)s AND withdrawn_at IS NULL

-- name: cycle_insert
-- Inserts the run's cycle. No row when the run has one.
INSERT INTO cycles (account_id, mission_id, run_id, number, starts_at, ends_at, closes_at, context, brand)
VALUES (%(account)s, %(mission)s, %(run)s, %(number)s, %(starts_at)s, %(ends_at)s, %(closes_at)s, %(context)s,
    %(brand)s)
ON CONFLICT DO NOTHING

-- name: cycle_withdraw
-- Withdraws the run's cycle.
UPDATE cycles SET withdrawn_at = now()
WHERE account_id = %(account)s AND run_id = %(run)s AND withdrawn_at IS NULL

-- name: mission_waiting
-- Returns how many items wait at each stage of a mission.
SELECT
    (SELECT count(*) FROM cycles WHERE account_id = %(account)s AND mission_id = %(mission)s
        AND withdrawn_at IS NULL AND strategy IS NULL) AS strategy,
    (SELECT count(*) FROM slots WHERE account_id = %(account)s AND mission_id = %(mission)s
        AND status = 'planned') AS content,
    (SELECT count(*) FROM posts WHERE account_id = %(account)s AND mission_id = %(mission)s
        AND status = 'pending_review') AS review,
    (SELECT count(*) FROM posts WHERE account_id = %(account)s AND mission_id = %(mission)s
        AND status = 'approved') AS publish,
    (SELECT count(*) FROM cycles WHERE account_id = %(account)s AND mission_id = %(mission)s
        AND withdrawn_at IS NULL AND strategy IS NOT NULL AND measured_at IS NULL) AS analytics,
    (SELECT count(*) FROM cycles WHERE account_id = %(account)s AND mission_id = %(mission)s
        AND withdrawn_at IS NULL AND measured_at IS NOT NULL AND optimized_at IS NULL) AS optimize

-- name: models_of_mission
-- Returns the names of the models that wrote the mission's posts.
SELECT DISTINCT model FROM posts
WHERE account_id = %(account)s AND mission_id = %(mission)s AND status <> 'archived'
ORDER BY model

-- name: cycle_engagement
-- Returns the engagements and the number of measured posts of these runs' cycles, by each post's last reading.
SELECT cycles.run_id, cycles.id AS cycle_id, cycles.number, coalesce(sum(last.engagements), 0) AS engagements,
    count(last.engagements) AS posts
FROM cycles
LEFT JOIN posts ON posts.account_id = %(account)s AND posts.cycle_id = cycles.id
LEFT JOIN LATERAL (
    SELECT engagements FROM post_metrics
    WHERE account_id = %(account)s AND post_id = posts.id ORDER BY hour DESC LIMIT 1) AS last ON true
WHERE cycles.account_id = %(account)s AND cycles.mission_id = %(mission)s AND cycles.withdrawn_at IS NULL
    AND cycles.run_id = ANY(%(runs)s::bigint[])
GROUP BY cycles.id

-- name: level_shares
-- Returns each level's share of the slots of two cycles, by platform and factor.
WITH chosen AS (
    SELECT slots.platform, choice.key AS factor, choice.value AS level, slots.cycle_id
    FROM slots, jsonb_each_text(slots.choices) AS choice
    WHERE slots.account_id = %(account)s AND slots.mission_id = %(mission)s AND slots.status <> 'withdrawn'
        AND slots.cycle_id IN (%(earlier)s, %(later)s)
), totals AS (
    SELECT platform, factor, cycle_id, count(*) AS slots FROM chosen GROUP BY platform, factor, cycle_id
), counted AS (
    SELECT platform, factor, level, cycle_id, count(*) AS slots FROM chosen GROUP BY platform, factor, level, cycle_id
)
SELECT platform, factor, level,
    coalesce(max(counted.slots::numeric / totals.slots) FILTER (WHERE counted.cycle_id = %(earlier)s), 0) AS before,
    coalesce(max(counted.slots::numeric / totals.slots) FILTER (WHERE counted.cycle_id = %(later)s), 0) AS after
FROM counted JOIN totals USING (platform, factor, cycle_id)
GROUP BY platform, factor, level
ORDER BY platform, factor, level

-- name: waiting_cycle
-- Returns the cycle of a run that is at its analytics: when it closes, and how many readings it has.
SELECT cycles.closes_at,
    (SELECT count(*) FROM snapshots WHERE account_id = %(account)s AND cycle_id = cycles.id) AS looks
FROM cycles JOIN runs ON runs.account_id = cycles.account_id AND runs.id = cycles.run_id
WHERE cycles.account_id = %(account)s AND cycles.mission_id = %(mission)s AND cycles.withdrawn_at IS NULL
    AND runs.dag_run_id = %(dag_run_id)s AND runs.status = 'running' AND runs.current_stage = 'analytics'
    AND cycles.measured_at IS NULL
