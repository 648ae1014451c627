-- Cycles of a mission, and what strategy, content and review make of them. `ids`: only these; NULL: all.

-- name: mission_state
SELECT missions.started_at, missions.completed_at, missions.completed_why,
    (SELECT coalesce(sum(cents), 0) FROM ledger
     WHERE account_id = %(account)s AND kind = 'cost' AND workflow_id = missions.id) AS spent_cents,
    (SELECT coalesce(max(number), 0) FROM cycles
     WHERE account_id = %(account)s AND mission_id = missions.id AND withdrawn_at IS NULL) AS cycles,
    (SELECT max(ends_at) FROM cycles
     WHERE account_id = %(account)s AND mission_id = missions.id AND withdrawn_at IS NULL) AS planned_until
FROM missions WHERE account_id = %(account)s AND id = %(mission)s

-- name: brand_of_mission
SELECT brand_context_id FROM missions WHERE account_id = %(account)s AND id = %(mission)s

-- name: mission_started
UPDATE missions SET started_at = coalesce(started_at, %(at)s)
WHERE account_id = %(account)s AND id = %(mission)s

-- name: mission_not_started
UPDATE missions SET started_at = NULL
WHERE account_id = %(account)s AND id = %(mission)s AND NOT EXISTS (
    SELECT FROM cycles WHERE account_id = %(account)s AND mission_id = missions.id AND withdrawn_at IS NULL)

-- name: mission_completed
UPDATE missions SET completed_at = %(at)s, completed_why = %(why)s
WHERE account_id = %(account)s AND id = %(mission)s AND completed_at IS NULL

-- name: cycle_of_run
SELECT id, number, run_id, starts_at, ends_at, closes_at, context, brand, strategy, parameters, measured_at,
    optimized_at
FROM cycles
WHERE account_id = %(account)s AND run_id = %(run)s AND withdrawn_at IS NULL

-- name: cycle_insert
INSERT INTO cycles (account_id, mission_id, run_id, number, starts_at, ends_at, closes_at, context, brand)
VALUES (%(account)s, %(mission)s, %(run)s, %(number)s, %(starts_at)s, %(ends_at)s, %(closes_at)s, %(context)s,
    %(brand)s)
ON CONFLICT DO NOTHING

-- name: cycle_withdraw
UPDATE cycles SET withdrawn_at = now()
WHERE account_id = %(account)s AND run_id = %(run)s AND withdrawn_at IS NULL

-- name: mission_waiting
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
