-- The site pipeline's statements. `ids`: only these; null: all. An item that failed three times is left to a person.

-- name: items_given_up
-- Returns a stage's items that failed three times.
SELECT item FROM item_failures
WHERE account_id = %(account)s AND workflow_id = %(site)s AND stage = %(stage)s AND attempts >= 3

-- name: keywords_waiting
-- Returns the ids of a site's keywords without a cluster.
SELECT id FROM keywords
WHERE account_id = %(account)s AND site_id = %(site)s
    AND status = 'new' AND cluster_id IS NULL AND NOT disabled
ORDER BY id

-- name: keywords_still_waiting
-- Returns those of these keywords that still have no cluster.
SELECT id, text FROM keywords
WHERE account_id = %(account)s AND site_id = %(site)s
    AND status = 'new' AND cluster_id IS NULL AND NOT disabled
    AND id = ANY(%(ids)s::bigint[])
ORDER BY id

-- name: clusters_known
-- Returns all clusters of a site.
SELECT id, name, normalized, disabled FROM clusters
WHERE account_id = %(account)s AND site_id = %(site)s
ORDER BY id

-- name: cluster_upsert
-- Inserts a cluster unless the site has one of this name. Returns its id either way, thanks to an update that changes
-- nothing; `created` is 1 for a new one (xmax is 0 for an inserted row).
INSERT INTO clusters (account_id, site_id, name, normalized, description)
VALUES (%(account)s, %(site)s, %(label)s, %(normalized)s, %(description)s)
ON CONFLICT (site_id, normalized) DO UPDATE SET name = clusters.name
RETURNING id, (xmax = 0)::int AS created

-- name: keywords_assign
-- Assigns keywords that still wait to a cluster.
UPDATE keywords SET status = 'clustered', cluster_id = %(cluster)s
WHERE account_id = %(account)s AND site_id = %(site)s
    AND status = 'new' AND NOT disabled AND id = ANY(%(ids)s::bigint[])

-- name: clusters_waiting
-- Returns the ids of the clusters that wait for ideas.
SELECT clusters.id FROM clusters
WHERE clusters.account_id = %(account)s AND clusters.site_id = %(site)s
    AND clusters.status = 'new' AND NOT clusters.disabled
    AND (%(ids)s::bigint[] IS NULL OR clusters.id = ANY(%(ids)s::bigint[]))
    AND NOT EXISTS (SELECT FROM ideas WHERE ideas.account_id = %(account)s AND ideas.cluster_id = clusters.id)
    AND NOT EXISTS (
        SELECT FROM item_failures f
        WHERE f.account_id = %(account)s AND f.workflow_id = %(site)s AND f.stage = 'ideas'
            AND f.item = clusters.id::text AND f.attempts >= 3)
ORDER BY clusters.id

-- name: clusters_to_plan
-- Returns these clusters with their strongest keywords and the site's newest titles (`taken`), `shown` of each.
SELECT
    clusters.id, clusters.name, clusters.description,
    ARRAY(
        SELECT keywords.text FROM keywords
        WHERE keywords.account_id = %(account)s AND keywords.cluster_id = clusters.id AND NOT keywords.disabled
        ORDER BY keywords.volume DESC NULLS LAST, keywords.id
        LIMIT %(shown)s) AS keywords,
    ARRAY(
        SELECT ideas.title FROM ideas
        WHERE ideas.account_id = %(account)s AND ideas.site_id = %(site)s
        ORDER BY ideas.id DESC
        LIMIT %(shown)s) AS taken
FROM clusters
WHERE clusters.account_id = %(account)s AND clusters.site_id = %(site)s AND clusters.id = ANY(%(ids)s::bigint[])
ORDER BY clusters.id

-- name: cluster_planned
-- Sets a cluster to planned. No row when it was planned before.
UPDATE clusters SET status = 'planned'
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(cluster)s AND status = 'new'

-- name: idea_insert
-- Inserts an idea. No row when the site has one of this title.
INSERT INTO ideas (account_id, site_id, cluster_id, title, normalized, angle, type, target_keywords, outline)
VALUES (%(account)s, %(site)s, %(cluster)s, %(title)s, %(normalized)s, %(angle)s, %(type)s,
    %(target_keywords)s::text[], %(outline)s::text[])
ON CONFLICT (site_id, normalized) DO NOTHING

-- name: ideas_waiting
-- Returns the ids of the ideas that wait for a task.
SELECT ideas.id FROM ideas
WHERE ideas.account_id = %(account)s AND ideas.site_id = %(site)s
    AND ideas.status = 'new' AND NOT ideas.disabled
    AND (%(ids)s::bigint[] IS NULL OR ideas.id = ANY(%(ids)s::bigint[]))
    AND NOT EXISTS (
        SELECT FROM item_failures f
        WHERE f.account_id = %(account)s AND f.workflow_id = %(site)s AND f.stage = 'tasks'
            AND f.item = ideas.id::text AND f.attempts >= 3)
ORDER BY ideas.id

-- name: ideas_to_queue
-- Returns these ideas.
SELECT id, title FROM ideas
WHERE account_id = %(account)s AND site_id = %(site)s AND id = ANY(%(ids)s::bigint[])
ORDER BY id

-- name: idea_queued
-- Sets an idea to queued. No row when it was queued before or is disabled.
UPDATE ideas SET status = 'queued'
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(idea)s AND status = 'new' AND NOT disabled

-- name: task_insert
-- Inserts the task of an idea.
INSERT INTO tasks (account_id, site_id, idea_id) VALUES (%(account)s, %(site)s, %(idea)s)

-- name: articles_of_run
-- Returns how many articles a run has written. The ledger counts charged articles, and the stage's result also free
-- ones: the greater number is right.
SELECT greatest(
    (SELECT count(*) FROM ledger
     WHERE account_id = %(account)s AND workflow_id = %(site)s AND run_id = %(run)s
        AND kind = 'charge' AND stage = 'content'),
    (SELECT coalesce(sum(stage_results.created), 0) FROM stage_results
     JOIN runs ON runs.id = stage_results.run_id AND runs.account_id = stage_results.account_id
     WHERE stage_results.account_id = %(account)s AND runs.workflow_id = %(site)s
        AND stage_results.run_id = %(run)s AND stage_results.stage = 'content'))::bigint

-- name: tasks_waiting
-- Returns the ids of the tasks that wait for their article, up to `left`. Regenerated ones come first: people wait for
-- them.
SELECT tasks.id FROM tasks
WHERE tasks.account_id = %(account)s AND tasks.site_id = %(site)s AND tasks.status = 'queued'
    AND (%(ids)s::bigint[] IS NULL OR tasks.id = ANY(%(ids)s::bigint[]))
    AND NOT EXISTS (SELECT FROM contents WHERE contents.account_id = %(account)s AND contents.task_id = tasks.id)
    AND NOT EXISTS (
        SELECT FROM item_failures f
        WHERE f.account_id = %(account)s AND f.workflow_id = %(site)s AND f.stage = 'content'
            AND f.item = tasks.id::text AND f.attempts >= 3)
ORDER BY tasks.revision = 1, tasks.id
LIMIT %(left)s::bigint

-- name: tasks_to_write
-- Returns these tasks with their ideas.
SELECT tasks.id, ideas.title, ideas.angle, ideas.type, ideas.target_keywords, ideas.outline, clusters.name AS cluster,
    tasks.revision, tasks.guidance
FROM tasks
JOIN ideas ON ideas.account_id = tasks.account_id AND ideas.id = tasks.idea_id
JOIN clusters ON clusters.account_id = ideas.account_id AND clusters.id = ideas.cluster_id
WHERE tasks.account_id = %(account)s AND tasks.site_id = %(site)s AND tasks.id = ANY(%(ids)s::bigint[])
ORDER BY tasks.id

-- name: task_completed
-- Sets a task to completed. No row when it was completed before.
UPDATE tasks SET status = 'completed'
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(task)s AND status = 'queued'

-- name: content_insert
-- Inserts an article. No row when another one of the site has the slug.
INSERT INTO contents
    (account_id, site_id, task_id, title, slug, meta_description, html, excerpt, tags, word_count, model)
VALUES (%(account)s, %(site)s, %(task)s, %(title)s, %(slug)s, %(meta_description)s, %(html)s, %(excerpt)s,
    %(tags)s::text[], %(word_count)s, %(model)s)
ON CONFLICT (site_id, slug) WHERE status <> 'archived' DO NOTHING

-- name: drafts_without_images
-- Returns the ids of the drafts that wait for image prompts.
SELECT contents.id FROM contents
WHERE contents.account_id = %(account)s AND contents.site_id = %(site)s AND contents.status = 'draft'
    AND (%(ids)s::bigint[] IS NULL OR contents.id = ANY(%(ids)s::bigint[]))
    AND NOT EXISTS (SELECT FROM images WHERE images.account_id = %(account)s AND images.content_id = contents.id)
    AND NOT EXISTS (
        SELECT FROM item_failures f
        WHERE f.account_id = %(account)s AND f.workflow_id = %(site)s AND f.stage = 'image_prompts'
            AND f.item = contents.id::text AND f.attempts >= 3)
ORDER BY contents.id

-- name: drafts_to_illustrate
-- Returns the text of these articles.
SELECT id, title, excerpt, html FROM contents
WHERE account_id = %(account)s AND site_id = %(site)s AND id = ANY(%(ids)s::bigint[])
ORDER BY id

-- name: draft_lock_without_images
-- Locks a draft until the transaction ends. No row when it has images already.
SELECT contents.id FROM contents
WHERE contents.account_id = %(account)s AND contents.site_id = %(site)s AND contents.id = %(content)s
    AND contents.status = 'draft'
    AND NOT EXISTS (SELECT FROM images WHERE images.account_id = %(account)s AND images.content_id = contents.id)
FOR NO KEY UPDATE OF contents

-- name: image_insert
-- Inserts an image that waits to be drawn.
INSERT INTO images (account_id, site_id, content_id, role, position, prompt, alt)
VALUES (%(account)s, %(site)s, %(content)s, %(role)s, %(position)s, %(prompt)s, %(alt)s)

-- name: images_waiting
-- Returns the ids of the images that wait to be drawn.
SELECT images.id FROM images
WHERE images.account_id = %(account)s AND images.site_id = %(site)s AND images.status = 'pending'
    AND (%(ids)s::bigint[] IS NULL OR images.id = ANY(%(ids)s::bigint[]))
    AND NOT EXISTS (
        SELECT FROM item_failures f
        WHERE f.account_id = %(account)s AND f.workflow_id = %(site)s AND f.stage = 'images'
            AND f.item = images.id::text AND f.attempts >= 3)
ORDER BY images.id

-- name: images_to_draw
-- Returns these images with the titles of their articles.
SELECT images.id, images.content_id, images.position, images.prompt, images.alt, contents.title
FROM images
JOIN contents ON contents.account_id = images.account_id AND contents.id = images.content_id
WHERE images.account_id = %(account)s AND images.site_id = %(site)s AND images.id = ANY(%(ids)s::bigint[])
ORDER BY images.id

-- name: content_lock
-- Locks an article's row until the transaction ends.
SELECT id FROM contents WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(content)s FOR NO KEY UPDATE

-- name: image_generated
-- Sets an image to generated, with its file. No row when it was generated before.
UPDATE images
SET status = 'generated', media_url = %(media_url)s, media_type = %(media_type)s,
    width = %(width)s, height = %(height)s, model = %(model)s
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(image)s AND status = 'pending'

-- name: content_to_review
-- Sets a draft to review once none of its images is pending.
UPDATE contents SET status = 'review', updated_at = now()
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(content)s AND status = 'draft'
    AND NOT EXISTS (
        SELECT FROM images
        WHERE images.account_id = %(account)s AND images.content_id = contents.id AND images.status = 'pending')

-- name: contents_in_review
-- Returns how many articles are in review, and the ids of the newest of them, oldest first; most: of how many.
WITH in_review AS (
    SELECT id FROM contents
    WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'review'
), newest AS (
    SELECT id FROM in_review ORDER BY id DESC LIMIT %(most)s
)
SELECT (SELECT count(*) FROM in_review) AS number, coalesce(array_agg(id ORDER BY id), '{}') AS newest
FROM newest

-- name: preview_site
-- Returns a site's name, URL and subject.
SELECT name, url, subject FROM (
    SELECT definition ->> 'name' AS name, coalesce(definition ->> 'url', '') AS url,
        coalesce(definition ->> 'subject', '') AS subject, id, account_id
    FROM sites) AS site
WHERE account_id = %(account)s AND id = %(site)s

-- name: preview_articles
-- Returns a site's articles for its preview.
SELECT
    contents.id, contents.title, contents.slug, contents.meta_description, contents.html, contents.excerpt,
    contents.tags, contents.word_count, contents.status, contents.model, contents.created_at,
    ideas.type AS kind, ideas.target_keywords, clusters.name AS cluster
FROM contents
JOIN tasks ON tasks.account_id = contents.account_id AND tasks.id = contents.task_id
JOIN ideas ON ideas.account_id = contents.account_id AND ideas.id = tasks.idea_id
JOIN clusters ON clusters.account_id = contents.account_id AND clusters.id = ideas.cluster_id
WHERE contents.account_id = %(account)s AND contents.site_id = %(site)s AND contents.status <> 'archived'
ORDER BY contents.id

-- name: preview_images
-- Returns a site's generated images by article and position.
SELECT content_id, position, alt, media_url, media_type, width, height FROM images
WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'generated'
ORDER BY content_id, position
