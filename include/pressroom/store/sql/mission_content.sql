-- The calendar and the posts. `ids`: only these; null: all. An item that failed three times is left to a person.

-- name: earlier_strategy
-- Returns the strategy of the cycle before.
SELECT strategy FROM cycles
WHERE account_id = %(account)s AND mission_id = %(mission)s AND number < %(number)s AND withdrawn_at IS NULL
    AND strategy IS NOT NULL
ORDER BY number DESC LIMIT 1

-- name: topics_used
-- Returns the topics that the mission used last, newest first.
SELECT topic FROM slots
WHERE account_id = %(account)s AND mission_id = %(mission)s AND status <> 'withdrawn'
GROUP BY topic ORDER BY max(at) DESC LIMIT %(most)s

-- name: cycle_strategy
-- Sets a cycle's strategy and parameters unless they are set.
UPDATE cycles SET strategy = %(strategy)s, parameters = %(parameters)s
WHERE account_id = %(account)s AND id = %(cycle)s AND strategy IS NULL AND withdrawn_at IS NULL

-- name: cycle_no_strategy
-- Clears a cycle's strategy and parameters.
UPDATE cycles SET strategy = NULL, parameters = NULL WHERE account_id = %(account)s AND id = %(cycle)s

-- name: slot_insert
-- Inserts a calendar slot.
INSERT INTO slots (account_id, mission_id, cycle_id, at, platform, choices, explores, topic, angle)
VALUES (%(account)s, %(mission)s, %(cycle)s, %(at)s, %(platform)s, %(choices)s, %(explores)s, %(topic)s, %(angle)s)

-- name: slots_of_cycle
-- Returns a cycle's slots by time.
SELECT id, at, platform, choices, explores, topic, angle, status FROM slots
WHERE account_id = %(account)s AND cycle_id = %(cycle)s AND status <> 'withdrawn'
ORDER BY at, platform, id

-- name: slots_withdraw
-- Withdraws a cycle's slots.
UPDATE slots SET status = 'withdrawn'
WHERE account_id = %(account)s AND cycle_id = %(cycle)s AND status <> 'withdrawn'

-- name: slots_waiting
-- Returns the ids of the slots of the run's cycle that wait for their post.
SELECT slots.id FROM slots
JOIN cycles ON cycles.account_id = slots.account_id AND cycles.id = slots.cycle_id
WHERE slots.account_id = %(account)s AND slots.mission_id = %(mission)s AND cycles.run_id = %(run)s
    AND cycles.withdrawn_at IS NULL AND slots.status = 'planned'
    AND (%(ids)s::bigint[] IS NULL OR slots.id = ANY(%(ids)s::bigint[]))
    AND NOT EXISTS (
        SELECT FROM item_failures f
        WHERE f.account_id = %(account)s AND f.workflow_id = %(mission)s AND f.stage = 'content'
            AND f.item = slots.id::text AND f.attempts >= 3)
ORDER BY slots.at, slots.id

-- name: slots_to_write
-- Returns these slots. `turn`: which use of its topic a slot is, counted from 1.
SELECT id, platform, choices, topic, angle, revision, guidance,
    (SELECT count(*) FROM slots AS earlier
     WHERE earlier.account_id = %(account)s AND earlier.mission_id = slots.mission_id
        AND earlier.status <> 'withdrawn' AND lower(earlier.topic) = lower(slots.topic)
        AND (earlier.at, earlier.id) <= (slots.at, slots.id)) AS turn
FROM slots
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = ANY(%(ids)s::bigint[])
ORDER BY at, id

-- name: slot_written
-- Sets a slot to written. No row when it was written before.
UPDATE slots SET status = 'written'
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(slot)s AND status = 'planned'

-- name: post_insert
-- Inserts a post into its slot.
INSERT INTO posts (account_id, mission_id, cycle_id, slot_id, variant, platform, format, headline, body, cta, parts,
    hashtags, mentions, adaptations, options, media_url, media_type, media_alt, confidence, model, status,
    content_hash, approved_hash, approved_terms, approved_by, review_note)
SELECT %(account)s::bigint, slots.mission_id, slots.cycle_id, slots.id, %(variant)s, slots.platform, %(format)s,
    %(headline)s, %(body)s, %(cta)s, %(parts)s::text[], %(hashtags)s::text[], %(mentions)s::text[],
    %(adaptations)s::jsonb, %(options)s::jsonb, %(media_url)s, %(media_type)s, %(media_alt)s, %(confidence)s::numeric,
    %(model)s, %(status)s, %(content_hash)s, %(approved_hash)s, %(approved_terms)s::jsonb,
    %(approved_by)s, %(review_note)s
FROM slots WHERE slots.account_id = %(account)s AND slots.id = %(slot)s

-- name: posts_of_cycle
-- Returns a cycle's posts with their slots, by time.
SELECT posts.id, posts.platform, posts.format, posts.headline, posts.body, posts.cta, posts.parts, posts.hashtags,
    posts.mentions, posts.media_url, posts.media_alt, posts.confidence, posts.status, posts.variant, posts.adaptations,
    slots.at, slots.choices, slots.topic
FROM posts JOIN slots ON slots.account_id = posts.account_id AND slots.id = posts.slot_id
WHERE posts.account_id = %(account)s AND posts.cycle_id = %(cycle)s AND posts.status <> 'archived'
ORDER BY slots.at, posts.id

-- name: stage_cents
-- Returns the cents that a stage of a run has cost.
SELECT coalesce(sum(cents), 0) FROM ledger
WHERE account_id = %(account)s AND kind = 'cost' AND run_id = %(run)s AND stage = %(stage)s

-- name: posts_archive
-- Archives a cycle's posts and frees their slots. Returns how many posts were archived. A post that the target has or
-- may have stays, and so does its slot, also when another variant of the slot is archived.
WITH out AS (
    SELECT posts.id, posts.slot_id FROM posts
    WHERE posts.account_id = %(account)s AND posts.cycle_id = %(cycle)s AND (
        posts.status IN ('scheduled', 'published')
        OR EXISTS (
            SELECT FROM publications AS p
            WHERE p.account_id = %(account)s AND p.content = 'post:' || posts.id
                AND p.status IN ('attempting', 'unknown', 'accepted', 'confirmed')))
), archived AS (
    UPDATE posts SET status = 'archived', updated_at = now()
    WHERE account_id = %(account)s AND cycle_id = %(cycle)s AND id NOT IN (SELECT id FROM out)
        AND status IN ('draft', 'pending_review', 'approved', 'rejected', 'failed')
    RETURNING slot_id
), freed AS (
    UPDATE slots SET status = 'planned'
    WHERE account_id = %(account)s AND status = 'written'
        AND id IN (SELECT slot_id FROM archived) AND id NOT IN (SELECT slot_id FROM out)
)
SELECT count(*) FROM archived

-- name: posts_out
-- Returns the posts of a cycle that the target has or may have.
SELECT posts.id, posts.platform FROM posts
WHERE posts.account_id = %(account)s AND posts.cycle_id = %(cycle)s AND (
    posts.status IN ('scheduled', 'published')
    OR posts.status <> 'archived' AND EXISTS (
        SELECT FROM publications AS p
        WHERE p.account_id = %(account)s AND p.content = 'post:' || posts.id
            AND p.status IN ('attempting', 'unknown', 'accepted', 'confirmed')))
ORDER BY posts.id

-- name: posts_listed
-- Returns a mission's posts by time. `status` null: all but archived ones.
SELECT posts.id, posts.platform, posts.format, posts.variant, posts.parts, posts.options, posts.media_url,
    posts.media_alt, posts.status, posts.content_hash, posts.approved_hash, posts.approved_by, posts.review_note,
    slots.at
FROM posts JOIN slots ON slots.account_id = posts.account_id AND slots.id = posts.slot_id
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s
    AND (%(post)s::bigint IS NULL OR posts.id = %(post)s)
    AND CASE WHEN %(status)s::text IS NULL THEN posts.status <> 'archived' ELSE posts.status = %(status)s END
ORDER BY slots.at, posts.id

-- name: post_rules
-- Returns the brand context and the definition that an edit of the post is checked against.
SELECT cycles.brand, missions.definition FROM posts
JOIN cycles ON cycles.account_id = posts.account_id AND cycles.id = posts.cycle_id
JOIN missions ON missions.account_id = posts.account_id AND missions.id = posts.mission_id
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s AND posts.id = %(post)s

-- name: post_approve
-- Approves the version of a post that has this hash. No row when the post changed since or cannot be approved, or when
-- its cycle is over: its time is, and its publishing or its measuring is through.
UPDATE posts SET status = 'approved', approved_hash = content_hash, approved_terms = %(terms)s::jsonb,
    approved_by = %(by)s, updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(post)s AND content_hash = %(content_hash)s
    AND status IN ('pending_review', 'rejected')
    AND NOT EXISTS (
        SELECT FROM cycles JOIN runs ON runs.account_id = cycles.account_id AND runs.id = cycles.run_id
        WHERE cycles.account_id = %(account)s AND cycles.id = posts.cycle_id AND (
            cycles.ends_at <= cycles.measured_at
            OR (cycles.ends_at <= now() AND (
                runs.status NOT IN ('running', 'paused') OR runs.current_stage IN ('analytics', 'optimize')))))

-- name: run_of_post
-- Returns the run that wrote a post, and publishes it.
SELECT cycles.run_id FROM posts
JOIN cycles ON cycles.account_id = posts.account_id AND cycles.id = posts.cycle_id
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s AND posts.id = %(post)s

-- name: cycle_end_of_post
-- Returns when the cycle of a post ends.
SELECT cycles.ends_at FROM posts
JOIN cycles ON cycles.account_id = posts.account_id AND cycles.id = posts.cycle_id
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s AND posts.id = %(post)s

-- name: post_reject
-- Rejects a post: the version with the hash `seen_hash`, null for any; with `waits` only while it waits for review. No row
-- when it is another one, or the target has or may have it.
UPDATE posts SET status = 'rejected', approved_hash = NULL, approved_terms = NULL, approved_by = NULL,
    review_note = %(reason)s, updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(post)s
    AND (status = 'pending_review' OR status = 'approved' AND NOT %(waits)s)
    AND (%(seen_hash)s::text IS NULL OR content_hash = %(seen_hash)s)
    AND NOT EXISTS (
        SELECT FROM publications AS p
        WHERE p.account_id = %(account)s AND p.content = 'post:' || posts.id
            AND p.status IN ('attempting', 'unknown', 'accepted', 'confirmed'))

-- name: post_edit
-- Replaces a post's text and voids its approval. No row when it changed since (`seen_hash`), or the target has or may
-- have it.
UPDATE posts SET status = CASE status WHEN 'draft' THEN 'draft' ELSE 'pending_review' END, parts = %(parts)s::text[],
    hashtags = %(hashtags)s::text[], content_hash = %(content_hash)s, approved_hash = NULL, approved_terms = NULL,
    approved_by = NULL, review_note = %(note)s, updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(post)s
    AND status IN ('draft', 'pending_review', 'approved', 'rejected')
    AND (%(seen_hash)s::text IS NULL OR content_hash = %(seen_hash)s)
    AND NOT EXISTS (
        SELECT FROM publications AS p
        WHERE p.account_id = %(account)s AND p.content = 'post:' || posts.id
            AND p.status IN ('attempting', 'unknown', 'accepted', 'confirmed'))

-- name: post_choose
-- Takes a draft variant for its slot, to be reviewed. No row when the target has or may have the other variant.
UPDATE posts SET status = 'pending_review', review_note = %(note)s, updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(post)s AND status = 'draft'
    AND NOT EXISTS (
        SELECT FROM posts AS other
        WHERE other.account_id = %(account)s AND other.slot_id = posts.slot_id AND other.id <> posts.id AND (
            other.status IN ('scheduled', 'published')
            OR EXISTS (
                SELECT FROM publications AS p
                WHERE p.account_id = %(account)s AND p.content = 'post:' || other.id
                    AND p.status IN ('attempting', 'unknown', 'accepted', 'confirmed'))))

-- name: post_set_aside
-- Sets the other variants of a post's slot to draft and voids their approvals.
UPDATE posts SET status = 'draft', approved_hash = NULL, approved_terms = NULL, approved_by = NULL,
    review_note = %(note)s, updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND status IN ('pending_review', 'approved', 'rejected')
    AND id <> %(post)s
    AND slot_id = (SELECT slot_id FROM posts WHERE account_id = %(account)s AND id = %(post)s)
