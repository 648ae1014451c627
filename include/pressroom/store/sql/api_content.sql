-- Articles, posts and publications for the control API: pages, and each in full.

-- name: content_page
-- Returns a page of content, newest first: articles of sites and posts of missions, of the account or of one workflow.
-- `at`, `article`, `post`: the time and, within it, the id of each kind before which the page begins; `at` null: the
-- first page.
SELECT kind, id, created_at FROM (
    SELECT 'article' AS kind, newest.id, newest.created_at
    FROM unnest(%(article_statuses)s::text[]) AS wanted (status)
    CROSS JOIN LATERAL (
        SELECT contents.id, contents.created_at FROM contents
        WHERE contents.account_id = %(account)s AND contents.status = wanted.status
            AND (%(workflow)s::bigint IS NULL OR contents.site_id = %(workflow)s)
            AND (contents.created_at, contents.id)
                < (coalesce(%(at)s::timestamptz, 'infinity'), %(article)s::bigint)
        ORDER BY contents.created_at DESC, contents.id DESC
        LIMIT %(limit)s) AS newest
    UNION ALL
    SELECT 'post' AS kind, newest.id, newest.created_at
    FROM unnest(%(post_statuses)s::text[]) AS wanted (status)
    CROSS JOIN LATERAL (
        SELECT posts.id, posts.created_at FROM posts
        WHERE posts.account_id = %(account)s AND posts.status = wanted.status
            AND (%(workflow)s::bigint IS NULL OR posts.mission_id = %(workflow)s)
            AND (posts.created_at, posts.id) < (coalesce(%(at)s::timestamptz, 'infinity'), %(post)s::bigint)
        ORDER BY posts.created_at DESC, posts.id DESC
        LIMIT %(limit)s) AS newest
) AS page
ORDER BY created_at DESC, kind COLLATE "C" DESC, id DESC
LIMIT %(limit)s

-- name: content_listed
-- Returns these articles and posts as entries of a list.
SELECT 'article' AS kind, id, site_id AS workflow_id, title, status, content_hash, word_count, NULL AS platform,
    created_at, updated_at, approved_by
FROM contents WHERE account_id = %(account)s AND id = ANY(%(articles)s::bigint[])
UNION ALL
SELECT 'post', id, mission_id, left(parts[1], 500), status, content_hash, NULL, platform, created_at, updated_at,
    approved_by
FROM posts WHERE account_id = %(account)s AND id = ANY(%(posts)s::bigint[])

-- name: content_article
-- Returns one article in full, with its task, idea and cluster.
SELECT contents.id, contents.site_id, contents.title, contents.slug, contents.meta_description, contents.html,
    contents.excerpt, contents.tags, contents.word_count, contents.status, contents.content_hash,
    contents.approved_hash, contents.approved_terms, contents.approved_by, contents.approved_at, contents.review_note,
    contents.published_at,
    contents.model, contents.created_at, contents.updated_at, tasks.revision, tasks.guidance, ideas.id AS idea_id,
    ideas.type AS idea_type, ideas.target_keywords, clusters.name AS cluster
FROM contents
JOIN tasks ON tasks.account_id = contents.account_id AND tasks.id = contents.task_id
JOIN ideas ON ideas.account_id = contents.account_id AND ideas.id = tasks.idea_id
JOIN clusters ON clusters.account_id = contents.account_id AND clusters.id = ideas.cluster_id
WHERE contents.account_id = %(account)s AND contents.id = %(content)s

-- name: content_images
-- Returns an article's images by position.
SELECT position, role, status, prompt, alt, media_url, media_type, width, height FROM images
WHERE account_id = %(account)s AND content_id = %(content)s
ORDER BY position

-- name: content_post
-- Returns one post in full, with its slot and cycle.
SELECT posts.id, posts.mission_id, posts.slot_id, posts.variant, posts.platform, posts.format, posts.headline,
    posts.body, posts.cta, posts.parts, posts.hashtags, posts.mentions, posts.adaptations, posts.options,
    posts.media_url, posts.media_type, posts.media_alt, posts.confidence, posts.model, posts.status,
    posts.content_hash, posts.approved_hash, posts.approved_by, posts.review_note, posts.created_at,
    posts.updated_at, slots.at, slots.topic, slots.angle, slots.choices, slots.revision, slots.guidance,
    cycles.number AS cycle, cycles.run_id
FROM posts
JOIN slots ON slots.account_id = posts.account_id AND slots.id = posts.slot_id
JOIN cycles ON cycles.account_id = posts.account_id AND cycles.id = posts.cycle_id
WHERE posts.account_id = %(account)s AND posts.id = %(post)s

-- name: metrics_of_post
-- Returns a page of a post's readings, newest first.
SELECT hour AS at, published_at, impressions, engagements, link_clicks, new_followers,
    CASE WHEN impressions > 0 THEN round(100.0 * engagements / impressions, 2)::float8 ELSE 0 END AS engagement_rate
FROM post_metrics
WHERE account_id = %(account)s AND post_id = %(post)s::bigint AND (%(before)s::timestamptz IS NULL OR hour < %(before)s)
ORDER BY hour DESC
LIMIT %(limit)s

-- name: content_statuses
-- Returns the status and the workflow of these articles and posts.
SELECT 'article' AS kind, id, site_id AS workflow_id, status FROM contents
WHERE account_id = %(account)s AND id = ANY(%(articles)s::bigint[])
UNION ALL
SELECT 'post', id, mission_id, status FROM posts WHERE account_id = %(account)s AND id = ANY(%(posts)s::bigint[])

-- name: publication_page
-- Returns a page of publication ids below `before`, highest first.
SELECT page.id FROM unnest(%(statuses)s::text[]) AS wanted (status)
CROSS JOIN LATERAL (
    SELECT p.id FROM publications AS p
    WHERE p.account_id = %(account)s AND p.status = wanted.status AND p.id < %(before)s::bigint
        AND (%(workflow)s::bigint IS NULL OR p.workflow_id = %(workflow)s)
    ORDER BY p.id DESC
    LIMIT %(limit)s) AS page
ORDER BY page.id DESC
LIMIT %(limit)s

-- name: publication_page_of_content
-- Returns a page of the publication ids of one piece, highest first: one for each of its targets.
SELECT id FROM publications
WHERE account_id = %(account)s AND content = %(content)s AND status = ANY(%(statuses)s::text[])
    AND id < %(before)s::bigint
    AND (%(workflow)s::bigint IS NULL OR workflow_id = %(workflow)s)
ORDER BY id DESC
LIMIT %(limit)s

-- name: publications_shown
-- Returns these publications in full, highest id first.
SELECT p.id, p.workflow_id, workflows.kind, p.run_id, p.content, p.target, p.status, p.content_hash, p.scheduled_for,
    p.external_id, p.preview_url, p.public_url, p.attempts, p.error, p.attempted_at, p.accepted_at, p.confirmed_at,
    p.created_at
FROM publications AS p
JOIN workflows ON workflows.account_id = p.account_id AND workflows.id = p.workflow_id
WHERE p.account_id = %(account)s AND p.id = ANY(%(ids)s::bigint[])
ORDER BY p.id DESC

-- name: publication_to_retry
-- Returns what decides whether a publication can be retried. `claimed`: a worker is at it now.
SELECT p.status, p.content, p.target, workflows.kind,
    coalesce(p.claimed_until > clock_timestamp(), false) AS claimed
FROM publications AS p
JOIN workflows ON workflows.account_id = p.account_id AND workflows.id = p.workflow_id
WHERE p.account_id = %(account)s AND p.id = %(publication)s

-- name: article_to_publish_again
-- Returns an article's status, and whether its present version is approved.
SELECT status, coalesce(approved_hash = content_hash, false) AS approved FROM contents
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(content)s

-- name: post_to_publish_again
-- Returns a post's status, whether its present version is approved, and whether its cycle is over.
SELECT posts.status, coalesce(posts.approved_hash = posts.content_hash, false) AS approved, cycles.run_id,
    cycles.withdrawn_at IS NOT NULL OR coalesce(cycles.measured_at >= cycles.ends_at, false) AS over
FROM posts JOIN cycles ON cycles.account_id = posts.account_id AND cycles.id = posts.cycle_id
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s AND posts.id = %(post)s

-- name: post_publish_again
-- Sets a failed post to approved again; its approval is still valid. No row when the post changed since.
UPDATE posts SET status = 'approved', updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(post)s AND status = 'failed'
    AND approved_hash = content_hash

-- name: publish_run_to_begin
-- Returns the live run of this DAG that has not planned yet: it will take up what waits now.
SELECT id FROM runs
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND dag_id = %(dag_id)s AND status = 'running'
    AND lease_until > now() AND NOT cancel_requested AND NOT EXISTS (
        SELECT FROM stage_results AS s WHERE s.account_id = %(account)s AND s.run_id = runs.id)
ORDER BY id DESC LIMIT 1
