-- Months in review. `since`, `until`: the first moment of the first day, and that after the last one.

-- name: report_articles
-- Returns the articles of a site that were published between two times and that a target still has, by time.
SELECT contents.id, contents.title, contents.word_count AS words, contents.published_at, clusters.name AS cluster,
    ideas.target_keywords AS keywords,
    (SELECT count(*) FROM images
     WHERE images.account_id = %(account)s AND images.content_id = contents.id AND images.status = 'generated') AS pictures,
    places.list AS places
FROM contents
JOIN tasks ON tasks.account_id = contents.account_id AND tasks.id = contents.task_id
JOIN ideas ON ideas.account_id = contents.account_id AND ideas.id = tasks.idea_id
JOIN clusters ON clusters.account_id = contents.account_id AND clusters.id = ideas.cluster_id
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('target', p.target, 'public_url', p.public_url) ORDER BY p.target) AS list
    FROM publications AS p
    WHERE p.account_id = %(account)s AND p.content = 'article:' || contents.id AND p.status IN ('accepted', 'confirmed')
) AS places
WHERE contents.account_id = %(account)s AND contents.site_id = %(site)s
    AND contents.published_at >= %(since)s AND contents.published_at < %(until)s AND places.list IS NOT NULL
ORDER BY contents.published_at, contents.id

-- name: report_work
-- Returns how many articles of a site were written and approved between two times, and how many wait for review now.
SELECT count(*) FILTER (WHERE status <> 'archived' AND created_at >= %(since)s AND created_at < %(until)s) AS written,
    count(*) FILTER (WHERE approved_at >= %(since)s AND approved_at < %(until)s) AS approved,
    count(*) FILTER (WHERE status = 'review') AS waiting
FROM contents WHERE account_id = %(account)s AND site_id = %(site)s

-- name: report_posts
-- Returns the posts of a mission that were published between two times, by time, each with its last reading; `read_at`
-- null: not read yet.
SELECT posts.id, posts.platform, slots.topic, coalesce(m.published_at, p.scheduled_for) AS published_at, p.public_url,
    m.hour AS read_at, coalesce(m.impressions, 0) AS impressions, coalesce(m.engagements, 0) AS engagements,
    coalesce(m.link_clicks, 0) AS link_clicks, coalesce(m.new_followers, 0) AS new_followers
FROM publications AS p
JOIN posts ON posts.account_id = p.account_id AND posts.mission_id = p.workflow_id AND p.content = 'post:' || posts.id
JOIN slots ON slots.account_id = posts.account_id AND slots.id = posts.slot_id
LEFT JOIN LATERAL (
    SELECT * FROM post_metrics
    WHERE account_id = %(account)s AND post_id = posts.id ORDER BY hour DESC LIMIT 1) AS m ON true
WHERE p.account_id = %(account)s AND p.workflow_id = %(mission)s AND p.status = 'confirmed'
    AND coalesce(m.published_at, p.scheduled_for) >= %(since)s
    AND coalesce(m.published_at, p.scheduled_for) < %(until)s
ORDER BY published_at, posts.id

-- name: report_last
-- Returns when a site's or a mission's last piece was published, up to a time.
SELECT greatest(
    (SELECT max(published_at) FROM contents
     WHERE account_id = %(account)s AND site_id = %(workflow)s AND published_at <= %(at)s),
    (SELECT max(scheduled_for) FROM publications
     WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND status = 'confirmed'
        AND content LIKE 'post:%%' AND scheduled_for <= %(at)s))

-- name: report_findings
-- Returns what was found in the cycles of a mission that were measured between two times.
SELECT i.finding, i.platform, i.confidence
FROM insights AS i
JOIN cycles ON cycles.account_id = i.account_id AND cycles.id = i.cycle_id AND cycles.withdrawn_at IS NULL
WHERE i.account_id = %(account)s AND i.mission_id = %(mission)s
    AND cycles.measured_at >= %(since)s AND cycles.measured_at < %(until)s
ORDER BY i.confidence DESC, i.id
