-- What became of a mission's posts, and what was learned from it. `mature`: the age from which a post counts. Ages go by
-- full hours in UTC, as readings do: from the hour of publication to the hour of the reading.

-- name: slots_left
-- Returns how many slots of a cycle are not written yet.
SELECT count(*) FROM slots WHERE account_id = %(account)s AND cycle_id = %(cycle)s AND status = 'planned'

-- name: cycle_lock
-- Locks a cycle until the transaction ends. Returns when it was measured.
SELECT measured_at FROM cycles
WHERE account_id = %(account)s AND id = %(cycle)s AND withdrawn_at IS NULL FOR NO KEY UPDATE

-- name: publications_watched
-- Returns the publications to read: those of the cycle (`own`), and those of the cycle before that have no reading
-- since they came of age.
SELECT p.id, p.status, p.external_id, p.scheduled_for, posts.id AS post, posts.platform,
    posts.cycle_id = %(cycle)s::bigint AS own
FROM publications AS p
JOIN posts ON posts.account_id = p.account_id AND p.content = 'post:' || posts.id
JOIN cycles ON cycles.account_id = posts.account_id AND cycles.id = posts.cycle_id
WHERE p.account_id = %(account)s AND p.workflow_id = %(mission)s AND posts.mission_id = %(mission)s
    AND p.status NOT IN ('failed', 'withdrawn')
    AND (posts.cycle_id = %(cycle)s::bigint
        OR (cycles.number = %(number)s::integer - 1 AND cycles.withdrawn_at IS NULL AND NOT EXISTS (
            SELECT FROM post_metrics AS m
            WHERE m.account_id = %(account)s AND m.post_id = posts.id
                AND m.hour >= date_trunc('hour', m.published_at, 'UTC') + %(mature)s::interval)))
ORDER BY p.id

-- name: confirm_publications
-- Sets the status of many publications, and with them of their posts. Returns how many posts changed.
WITH news AS (
    SELECT * FROM unnest(%(ids)s::bigint[], %(statuses)s::text[], %(urls)s::text[], %(details)s::text[])
        AS n (id, status, public_url, detail)
), moved AS (
    UPDATE publications AS p
    SET status = n.status, public_url = n.public_url, error = n.detail,
        confirmed_at = CASE WHEN n.status = 'confirmed' THEN %(at)s::timestamptz END
    FROM news AS n
    WHERE p.account_id = %(account)s AND p.id = n.id AND p.status = 'accepted'
    RETURNING p.content, p.status
)
UPDATE posts SET status = CASE moved.status WHEN 'confirmed' THEN 'published' ELSE 'failed' END, updated_at = now()
FROM moved
WHERE posts.account_id = %(account)s AND 'post:' || posts.id = moved.content AND posts.status = 'scheduled'

-- name: post_metrics_upsert
-- Inserts readings of posts, or replaces those of the same hour.
INSERT INTO post_metrics (account_id, mission_id, post_id, platform, hour, published_at, impressions, engagements,
    link_clicks, new_followers)
SELECT %(account)s::bigint, %(mission)s::bigint, r.post_id, r.platform, %(hour)s::timestamptz, r.published_at,
    r.impressions, r.engagements, r.link_clicks, r.new_followers
FROM unnest(%(posts)s::bigint[], %(platforms)s::text[], %(published)s::timestamptz[], %(impressions)s::bigint[],
    %(engagements)s::bigint[], %(link_clicks)s::bigint[], %(new_followers)s::bigint[])
    AS r (post_id, platform, published_at, impressions, engagements, link_clicks, new_followers)
ON CONFLICT (post_id, hour) DO UPDATE SET
    published_at = excluded.published_at, impressions = excluded.impressions, engagements = excluded.engagements,
    link_clicks = excluded.link_clicks, new_followers = excluded.new_followers

-- name: latest_results
-- Returns each post's metrics by its last reading.
SELECT posts.id AS post, posts.cycle_id AS cycle, m.platform, m.published_at, m.impressions, m.engagements,
    m.link_clicks, m.new_followers
FROM posts CROSS JOIN LATERAL (
    SELECT * FROM post_metrics WHERE account_id = %(account)s AND post_id = posts.id ORDER BY hour DESC LIMIT 1) AS m
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s
ORDER BY posts.id

-- name: mature_results
-- Returns each post's metrics by its first reading since it came of age, so that all have about the same age.
SELECT posts.id AS post, posts.cycle_id AS cycle, m.platform, m.published_at, m.impressions, m.engagements,
    m.link_clicks, m.new_followers
FROM posts CROSS JOIN LATERAL (
    SELECT * FROM post_metrics
    WHERE account_id = %(account)s AND post_id = posts.id
        AND hour >= date_trunc('hour', published_at, 'UTC') + %(mature)s::interval
    ORDER BY hour LIMIT 1) AS m
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s
ORDER BY posts.id

-- name: choices_of_posts
-- Returns each post's choices: the level of each factor.
SELECT posts.id AS post, slots.choices || jsonb_build_object('topic', slots.topic) AS choices
FROM posts JOIN slots ON slots.account_id = posts.account_id AND slots.id = posts.slot_id
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s

-- name: snapshot_upsert
-- Inserts a snapshot of a cycle, or replaces the one of that moment.
INSERT INTO snapshots (account_id, cycle_id, at, status, output)
VALUES (%(account)s, %(cycle)s, %(at)s, %(status)s, %(output)s)
ON CONFLICT (cycle_id, at) DO UPDATE SET status = excluded.status, output = excluded.output

-- name: latest_snapshot
-- Returns a cycle's last snapshot.
SELECT status, at, output FROM snapshots
WHERE account_id = %(account)s AND cycle_id = %(cycle)s ORDER BY at DESC LIMIT 1

-- name: cycle_measured
-- Sets a cycle to measured. No row when it is measured already.
UPDATE cycles SET measured_at = %(at)s
WHERE account_id = %(account)s AND id = %(cycle)s AND measured_at IS NULL AND withdrawn_at IS NULL

-- name: cycle_not_measured
-- Clears a cycle's measurement.
UPDATE cycles SET measured_at = NULL
WHERE account_id = %(account)s AND id = %(cycle)s AND measured_at IS NOT NULL

-- name: cycle_optimized
-- Sets a measured cycle to optimized. No row when it is optimized already.
UPDATE cycles SET optimized_at = now()
WHERE account_id = %(account)s AND id = %(cycle)s AND optimized_at IS NULL AND measured_at IS NOT NULL
    AND withdrawn_at IS NULL

-- name: cycle_not_optimized
-- Clears a cycle's optimization.
UPDATE cycles SET optimized_at = NULL
WHERE account_id = %(account)s AND id = %(cycle)s AND optimized_at IS NOT NULL

-- name: mission_definition
-- Returns a mission's definition.
SELECT definition FROM missions WHERE account_id = %(account)s AND id = %(mission)s

-- name: weights_in_force
-- Returns the weights in force by platform and factor: those of the last change that was not reverted.
SELECT DISTINCT ON (platform, factor) platform, factor, after FROM strategy_changes
WHERE account_id = %(account)s AND mission_id = %(mission)s AND reverted_at IS NULL
ORDER BY platform, factor, id DESC

-- name: strategy_changes
-- Returns a mission's changes of strategy, newest first. `in_force`: neither reverted nor replaced by a later one.
SELECT c.id, c.cycle_id, cycles.number AS cycle, c.platform, c.factor, c.before, c.after, c.evidence,
    c.reverted_at IS NULL AND NOT EXISTS (
        SELECT FROM strategy_changes AS later
        WHERE later.account_id = %(account)s AND later.mission_id = c.mission_id AND later.platform = c.platform
            AND later.factor = c.factor AND later.id > c.id AND later.reverted_at IS NULL) AS in_force,
    c.reverted_at, c.reverted_by, c.created_at
FROM strategy_changes AS c JOIN cycles ON cycles.account_id = c.account_id AND cycles.id = c.cycle_id
WHERE c.account_id = %(account)s AND c.mission_id = %(mission)s
    AND (%(change)s::bigint IS NULL OR c.id = %(change)s::bigint)
    AND (%(cycle)s::bigint IS NULL OR c.cycle_id = %(cycle)s::bigint)
ORDER BY c.id DESC

-- name: strategy_change_insert
-- Inserts a change of strategy.
INSERT INTO strategy_changes (account_id, mission_id, cycle_id, platform, factor, before, after, evidence)
VALUES (%(account)s, %(mission)s, %(cycle)s, %(platform)s, %(factor)s, %(before)s, %(after)s, %(evidence)s)

-- name: strategy_change_revert
-- Reverts a change of strategy. No row when it is reverted already.
UPDATE strategy_changes SET reverted_at = now(), reverted_by = %(by)s
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(change)s AND reverted_at IS NULL

-- name: strategy_changes_delete
-- Deletes a cycle's changes of strategy.
DELETE FROM strategy_changes WHERE account_id = %(account)s AND cycle_id = %(cycle)s

-- name: insights
-- Returns a mission's insights: the newest cycle first, in it the surest first.
SELECT i.id, i.cycle_id, cycles.number AS cycle, i.type, i.platform, i.factor, i.level, i.finding, i.confidence,
    i.action, i.evidence, i.created_at
FROM insights AS i JOIN cycles ON cycles.account_id = i.account_id AND cycles.id = i.cycle_id
WHERE i.account_id = %(account)s AND i.mission_id = %(mission)s
ORDER BY cycles.number DESC, i.confidence DESC, i.id

-- name: insight_insert
-- Inserts an insight.
INSERT INTO insights (account_id, mission_id, cycle_id, type, platform, factor, level, finding, confidence, action,
    evidence)
VALUES (%(account)s, %(mission)s, %(cycle)s, %(type)s, %(platform)s, %(factor)s, %(level)s, %(finding)s,
    %(confidence)s, %(action)s, %(evidence)s)

-- name: insights_delete
-- Deletes a cycle's insights.
DELETE FROM insights WHERE account_id = %(account)s AND cycle_id = %(cycle)s

-- name: optimization_insert
-- Inserts the output of a cycle's optimization.
INSERT INTO optimizations (account_id, cycle_id, output) VALUES (%(account)s, %(cycle)s, %(output)s)

-- name: optimization
-- Returns the output of a cycle's optimization.
SELECT output FROM optimizations WHERE account_id = %(account)s AND cycle_id = %(cycle)s

-- name: optimization_delete
-- Deletes the output of a cycle's optimization.
DELETE FROM optimizations WHERE account_id = %(account)s AND cycle_id = %(cycle)s

-- name: proven_topics
-- Returns the topics with the best engagement compared with the average of their platform, best first.
WITH compared AS (
    SELECT slots.topic, m.engagements / nullif(avg(m.engagements) OVER (PARTITION BY m.platform), 0) AS index
    FROM posts
    JOIN slots ON slots.account_id = posts.account_id AND slots.id = posts.slot_id
    CROSS JOIN LATERAL (
        SELECT platform, engagements FROM post_metrics
        WHERE account_id = %(account)s AND post_id = posts.id
            AND hour >= date_trunc('hour', published_at, 'UTC') + %(mature)s::interval
        ORDER BY hour LIMIT 1) AS m
    WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s
)
SELECT topic FROM compared WHERE index IS NOT NULL
GROUP BY topic
ORDER BY avg(index) DESC, count(*) DESC, topic
LIMIT %(most)s

-- name: levels_of_slots
-- Returns the levels that a mission's slots have used, by platform and factor.
SELECT slots.platform, choice.key AS factor, array_agg(DISTINCT choice.value ORDER BY choice.value) AS levels
FROM slots
CROSS JOIN LATERAL jsonb_each_text(slots.choices || jsonb_build_object('topic', slots.topic)) AS choice
WHERE slots.account_id = %(account)s AND slots.mission_id = %(mission)s AND slots.status <> 'withdrawn'
GROUP BY slots.platform, choice.key
