-- Regenerating content: the old version is archived, and a copy of its task or slot waits to be written. `out`: a target
-- has the content or may have it. `in_work`: a live publish stage has unfinished items, and this may be one of them.

-- name: article_to_rewrite
-- Returns what decides whether an article can be regenerated.
SELECT contents.status, contents.review_note, contents.task_id, tasks.idea_id, tasks.revision,
    contents.published_at IS NOT NULL OR EXISTS (
        SELECT FROM publications AS p
        WHERE p.account_id = %(account)s AND p.content = 'article:' || contents.id
            AND (p.status IN ('attempting', 'unknown', 'accepted', 'confirmed')
                OR (p.external_id IS NOT NULL AND p.status <> 'withdrawn')
                OR p.claimed_until > clock_timestamp())) AS out,
    EXISTS (
        SELECT FROM runs JOIN stage_results AS s ON s.account_id = runs.account_id AND s.run_id = runs.id
        WHERE runs.account_id = %(account)s AND runs.workflow_id = %(site)s AND runs.status IN ('running', 'paused')
            AND runs.lease_until > now() AND runs.current_stage = 'publish' AND s.stage = 'publish'
            AND s.planned > s.processed + s.failed) AS in_work
FROM contents JOIN tasks ON tasks.account_id = contents.account_id AND tasks.id = contents.task_id
WHERE contents.account_id = %(account)s AND contents.site_id = %(site)s AND contents.id = %(content)s

-- name: article_archive
-- Archives an article that is not published.
UPDATE contents SET status = 'archived', updated_at = now()
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(content)s
    AND status IN ('draft', 'review', 'approved', 'rejected', 'failed')

-- name: article_failures_forget
-- Deletes the failures of an article and its images.
DELETE FROM item_failures
WHERE account_id = %(account)s AND workflow_id = %(site)s AND (
    (stage = 'image_prompts' AND item = %(content)s::bigint::text)
    OR (stage = 'publish' AND starts_with(item, %(content)s::bigint || ':'))
    OR (stage = 'images' AND item IN (
        SELECT id::text FROM images WHERE account_id = %(account)s AND content_id = %(content)s)))

-- name: images_never_drawn
-- Deletes an article's images that were not generated.
DELETE FROM images
WHERE account_id = %(account)s AND site_id = %(site)s AND content_id = %(content)s AND status = 'pending'

-- name: publications_never_sent
-- Withdraws planned publications of these pieces.
UPDATE publications SET status = 'withdrawn', claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND content = ANY(%(contents)s::text[]) AND status = 'planned'

-- name: task_supersede
-- Sets a completed task to superseded.
UPDATE tasks SET status = 'superseded'
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(task)s AND status = 'completed'

-- name: task_again
-- Inserts the next revision of a task.
INSERT INTO tasks (account_id, site_id, idea_id, revision, guidance)
VALUES (%(account)s, %(site)s, %(idea)s, %(revision)s, %(guidance)s)

-- name: slot_of_post_lock
-- Locks a post's slot until the transaction ends.
SELECT slots.id FROM slots
JOIN posts ON posts.account_id = slots.account_id AND posts.slot_id = slots.id
WHERE slots.account_id = %(account)s AND slots.mission_id = %(mission)s AND posts.id = %(post)s
FOR NO KEY UPDATE OF slots

-- name: post_to_rewrite
-- Returns what decides whether a post can be regenerated. `out` and `in_work` count all variants of its slot.
SELECT posts.status, posts.review_note, posts.slot_id, slots.status AS slot_status, cycles.run_id,
    cycles.withdrawn_at IS NOT NULL AS withdrawn, coalesce(cycles.measured_at >= cycles.ends_at, false) AS measured,
    EXISTS (
        SELECT FROM posts AS variants
        WHERE variants.account_id = %(account)s AND variants.slot_id = posts.slot_id AND variants.status <> 'archived' AND (
            variants.status IN ('scheduled', 'published')
            OR EXISTS (
                SELECT FROM publications AS p
                WHERE p.account_id = %(account)s AND p.content = 'post:' || variants.id
                    AND (p.status IN ('attempting', 'unknown', 'accepted', 'confirmed')
                        OR p.claimed_until > clock_timestamp())))) AS out,
    EXISTS (
        SELECT FROM posts AS variants
        WHERE variants.account_id = %(account)s AND variants.slot_id = posts.slot_id AND variants.status = 'approved'
    ) AND EXISTS (
        SELECT FROM runs JOIN stage_results AS s ON s.account_id = runs.account_id AND s.run_id = runs.id
        WHERE runs.account_id = %(account)s AND runs.id = cycles.run_id AND runs.status IN ('running', 'paused')
            AND runs.lease_until > now() AND runs.current_stage = 'publish' AND s.stage = 'publish'
            AND s.planned > s.processed + s.failed) AS in_work
FROM posts
JOIN slots ON slots.account_id = posts.account_id AND slots.id = posts.slot_id
JOIN cycles ON cycles.account_id = posts.account_id AND cycles.id = posts.cycle_id
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s AND posts.id = %(post)s

-- name: posts_of_slot_archive
-- Archives the variants of a slot. Returns their ids.
UPDATE posts SET status = 'archived', updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND slot_id = %(slot)s
    AND status IN ('draft', 'pending_review', 'approved', 'rejected', 'failed')
RETURNING id

-- name: post_failures_forget
-- Deletes the publishing failures of these posts.
DELETE FROM item_failures
WHERE account_id = %(account)s AND workflow_id = %(mission)s AND stage = 'publish' AND item = ANY(%(posts)s::text[])

-- name: slot_withdraw
-- Withdraws a slot.
UPDATE slots SET status = 'withdrawn'
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(slot)s AND status <> 'withdrawn'

-- name: slot_again
-- Inserts the next revision of a slot. Returns its number.
INSERT INTO slots (account_id, mission_id, cycle_id, at, platform, choices, explores, topic, angle, revision, guidance)
SELECT account_id, mission_id, cycle_id, at, platform, choices, explores, topic, angle, revision + 1, %(guidance)s
FROM slots WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(slot)s
RETURNING revision
