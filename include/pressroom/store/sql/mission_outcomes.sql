-- What became of a mission, for its pages: the calendar between two times, totals, and the curves of its cycles. Cycles
-- that were withdrawn are left out.

-- name: calendar_between
-- Returns the slots between two times, by time, each with its posts. Numbers are of a post's last reading.
SELECT slots.id, slots.at, slots.platform, slots.topic, slots.explores, slots.status, cycles.number AS cycle,
    cycles.run_id,
    (SELECT error FROM item_failures AS f
     WHERE f.account_id = %(account)s AND f.workflow_id = slots.mission_id AND f.stage = 'content'
        AND f.item = slots.id::text) AS error,
    coalesce(
        (SELECT jsonb_agg(jsonb_build_object(
            'id', posts.id, 'variant', posts.variant, 'status', posts.status,
            'title', coalesce(nullif(posts.headline, ''), left(posts.parts[1], 200)),
            'publication', p.id, 'publication_status', p.status, 'public_url', p.public_url,
            'error', coalesce(nullif(p.error, ''), f.error), 'impressions', m.impressions,
            'engagements', m.engagements) ORDER BY posts.variant, posts.id)
         FROM posts
         LEFT JOIN LATERAL (
            SELECT id, status, public_url, error FROM publications
            WHERE account_id = %(account)s AND content = 'post:' || posts.id ORDER BY id DESC LIMIT 1) AS p ON true
         LEFT JOIN LATERAL (
            SELECT impressions, engagements FROM post_metrics
            WHERE account_id = %(account)s AND post_id = posts.id ORDER BY hour DESC LIMIT 1) AS m ON true
         LEFT JOIN item_failures AS f
            ON f.account_id = posts.account_id AND f.workflow_id = posts.mission_id AND f.stage = 'publish'
            AND f.item = posts.id::text
         WHERE posts.account_id = %(account)s AND posts.slot_id = slots.id AND posts.status <> 'archived'),
        '[]') AS posts
FROM slots
JOIN cycles ON cycles.account_id = slots.account_id AND cycles.id = slots.cycle_id AND cycles.withdrawn_at IS NULL
WHERE slots.account_id = %(account)s AND slots.mission_id = %(mission)s AND slots.status <> 'withdrawn'
    AND slots.at >= %(since)s AND slots.at < %(until)s
ORDER BY slots.at, slots.platform, slots.id

-- name: calendar_span
-- Returns the times of a mission's first and last slot; null without one.
SELECT min(slots.at) AS first, max(slots.at) AS last
FROM slots
JOIN cycles ON cycles.account_id = slots.account_id AND cycles.id = slots.cycle_id AND cycles.withdrawn_at IS NULL
WHERE slots.account_id = %(account)s AND slots.mission_id = %(mission)s AND slots.status <> 'withdrawn'

-- name: cycle_totals
-- Returns the sums of each cycle by platform, by each post's last reading; a cycle without a reading has one row whose
-- platform is null.
SELECT cycles.number AS cycle, cycles.run_id, runs.dag_run_id, cycles.starts_at, cycles.ends_at, cycles.measured_at,
    m.platform, count(m.post_id) AS posts, coalesce(sum(m.impressions), 0)::bigint AS impressions,
    coalesce(sum(m.engagements), 0)::bigint AS engagements,
    coalesce(sum(m.link_clicks), 0)::bigint AS link_clicks, coalesce(sum(m.new_followers), 0)::bigint AS new_followers,
    max(m.hour) AS read_at
FROM cycles
JOIN runs ON runs.account_id = cycles.account_id AND runs.id = cycles.run_id
LEFT JOIN LATERAL (
    SELECT last.* FROM posts
    CROSS JOIN LATERAL (
        SELECT * FROM post_metrics
        WHERE account_id = %(account)s AND post_id = posts.id ORDER BY hour DESC LIMIT 1) AS last
    WHERE posts.account_id = %(account)s AND posts.cycle_id = cycles.id) AS m ON true
WHERE cycles.account_id = %(account)s AND cycles.mission_id = %(mission)s AND cycles.withdrawn_at IS NULL
GROUP BY cycles.id, runs.id, m.platform
ORDER BY cycles.number, m.platform

-- name: cycle_curves
-- Returns the last snapshot of each day of the cycles, by cycle and time. `day`: whole days since the cycle began.
SELECT DISTINCT ON (cycles.number, day) cycles.number AS cycle, cycles.run_id, s.at,
    floor(extract(epoch FROM s.at - cycles.starts_at) / 86400)::integer AS day,
    extract(epoch FROM s.at - cycles.starts_at)::float8 / 86400 AS days,
    coalesce((s.output -> 'metrics' ->> 'total_engagements')::bigint, 0) AS engagements,
    coalesce((s.output -> 'metrics' ->> 'total_impressions')::bigint, 0) AS impressions,
    coalesce(s.output -> 'kpi_status', '[]') AS kpis, coalesce(s.output -> 'trends', '{}') AS trends
FROM snapshots AS s
JOIN cycles ON cycles.account_id = s.account_id AND cycles.id = s.cycle_id AND cycles.withdrawn_at IS NULL
WHERE s.account_id = %(account)s AND cycles.mission_id = %(mission)s
ORDER BY cycles.number, day, s.at DESC
