-- name: site_pending
-- Returns how many items wait at each stage of a site, by item status alone.
SELECT
    (SELECT count(*) FROM keywords
     WHERE account_id = %(account)s AND site_id = %(site)s
        AND status = 'new' AND NOT disabled) AS clusters,
    (SELECT count(*) FROM clusters
     WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'new' AND NOT disabled
        AND NOT EXISTS (SELECT FROM ideas WHERE ideas.account_id = %(account)s AND ideas.cluster_id = clusters.id)
    ) AS ideas,
    (SELECT count(*) FROM ideas
     WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'new' AND NOT disabled) AS tasks,
    (SELECT count(*) FROM tasks
     WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'queued'
        AND NOT EXISTS (SELECT FROM contents WHERE contents.account_id = %(account)s AND contents.task_id = tasks.id)
    ) AS content,
    (SELECT count(*) FROM contents
     WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'draft'
        AND NOT EXISTS (SELECT FROM images WHERE images.account_id = %(account)s AND images.content_id = contents.id)
    ) AS image_prompts,
    (SELECT count(*) FROM images
     WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'pending') AS images,
    (SELECT count(*) FROM contents
     WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'review') AS review

-- name: workflow_failed_counts
-- Returns the number of failed items by stage.
SELECT stage, count(*) AS failed FROM item_failures
WHERE account_id = %(account)s AND workflow_id = %(workflow)s
GROUP BY stage

-- name: workflow_failures
-- Returns a workflow's failed items, newest first.
SELECT stage, item, attempts, error_class, error, run_id, at FROM item_failures
WHERE account_id = %(account)s AND workflow_id = %(workflow)s
ORDER BY at DESC, stage, item

-- name: forget_failures
-- Deletes a workflow's failures, of one stage or of all.
DELETE FROM item_failures
WHERE account_id = %(account)s AND workflow_id = %(workflow)s
    AND (%(stage)s::text IS NULL OR stage = %(stage)s)

-- name: run_stage_results
-- Returns a run's stage results. `time_elapsed`: in seconds, up to now for a stage at work.
SELECT
    stage, processed, created, words, batches, planned, credits, failed, skipped, partial, output,
    started_at, completed_at,
    round(extract(epoch FROM coalesce(completed_at, now()) - started_at), 1) AS time_elapsed
FROM stage_results
WHERE account_id = %(account)s AND run_id = %(run)s

-- name: run_log_tail
-- Returns the last `lines` events of a run, oldest first: of one stage, or of all; of some levels, or of all.
SELECT id, at, stage, kind, level, message, data FROM (
    SELECT id, at, stage, kind, level, message, data FROM run_events
    WHERE account_id = %(account)s AND run_id = %(run)s
        AND (%(stage)s::text IS NULL OR stage = %(stage)s)
        AND (%(levels)s::text[] IS NULL OR level = ANY (%(levels)s))
    ORDER BY id DESC LIMIT %(lines)s
) AS newest
ORDER BY id

-- name: run_log_after
-- Returns up to `lines` events of a run that follow event `after`, chosen like those of the tail.
SELECT id, at, stage, kind, level, message, data FROM run_events
WHERE account_id = %(account)s AND run_id = %(run)s AND id > %(after)s
    AND (%(stage)s::text IS NULL OR stage = %(stage)s)
    AND (%(levels)s::text[] IS NULL OR level = ANY (%(levels)s))
ORDER BY id LIMIT %(lines)s

-- name: run_logs_after
-- Returns up to `lines` events for each of several questions, with its number: those of a run that follow an event, chosen
-- like those of the tail. `levels`: joined by commas.
SELECT asked.number, found.id, found.at, found.stage, found.kind, found.level, found.message, found.data
FROM unnest(%(runs)s::bigint[], %(afters)s::bigint[], %(stages)s::text[], %(levels)s::text[])
    WITH ORDINALITY AS asked (run, after, stage, levels, number)
CROSS JOIN LATERAL (
    SELECT id, at, stage, kind, level, message, data FROM run_events
    WHERE account_id = %(account)s AND run_id = asked.run AND id > asked.after
        AND (asked.stage IS NULL OR stage = asked.stage)
        AND (asked.levels IS NULL OR level = ANY (string_to_array(asked.levels, ',')))
    ORDER BY id LIMIT %(lines)s
) AS found
ORDER BY asked.number, found.id

-- name: articles_for_review
-- Returns a site's articles in review, each with the number of its images.
SELECT contents.id, contents.title, contents.word_count, contents.model,
    (SELECT count(*) FROM images
     WHERE images.account_id = %(account)s AND images.content_id = contents.id AND images.status = 'generated') AS images
FROM contents
WHERE contents.account_id = %(account)s AND contents.site_id = %(site)s AND contents.status = 'review'
ORDER BY contents.id

-- name: models_of_run
-- Returns the names of the text models that a run called.
SELECT DISTINCT model FROM ai_calls WHERE account_id = %(account)s AND run_id = %(run)s AND kind = 'text' ORDER BY model

-- name: start_progress
-- Returns how far a site has come on its way to its first published article.
SELECT
    (SELECT count(*) FROM keywords WHERE account_id = %(account)s AND site_id = %(site)s) AS keywords,
    (SELECT count(*) FROM runs WHERE account_id = %(account)s AND workflow_id = %(site)s) AS runs,
    (SELECT max(id) FROM runs WHERE account_id = %(account)s AND workflow_id = %(site)s
        AND status IN ('running', 'paused')) AS live_run,
    (SELECT count(*) FROM contents WHERE account_id = %(account)s AND site_id = %(site)s
        AND status = 'review') AS waiting,
    (SELECT count(*) FROM contents WHERE account_id = %(account)s AND site_id = %(site)s
        AND status IN ('approved', 'published')) AS approved,
    (SELECT count(*) FROM publications WHERE account_id = %(account)s AND workflow_id = %(site)s
        AND status IN ('accepted', 'confirmed')) AS published
