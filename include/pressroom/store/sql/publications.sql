-- The publication ledger: one piece of content on one target. Times of attempts are the database's own, so that all
-- workers agree on them.

-- name: publication_plan
INSERT INTO publications (account_id, workflow_id, run_id, content, target, content_hash, scheduled_for)
VALUES (%(account)s, %(workflow)s, %(run)s, %(content)s, %(target)s, %(content_hash)s, %(at)s)
ON CONFLICT (account_id, content, target) DO NOTHING

-- name: publication_lock
SELECT id, run_id, content, target, status, content_hash, scheduled_for, external_id, preview_url, public_url,
    attempts, error, attempted_at, accepted_at, confirmed_at, coalesce(sent, '{}') AS sent,
    extract(epoch FROM claimed_until - clock_timestamp())::float8 AS claimed_seconds,
    greatest(extract(epoch FROM settles_at - clock_timestamp()), 0)::float8 AS unsettled_seconds
FROM publications
WHERE account_id = %(account)s AND content = %(content)s AND target = %(target)s
FOR NO KEY UPDATE

-- name: publication_claim
UPDATE publications SET claim = %(claim)s, claimed_until = clock_timestamp() + %(lease)s
WHERE account_id = %(account)s AND id = %(publication)s

-- name: publication_reopen
-- What the target has is to be changed there. The id stays: it says that the target has a version.
UPDATE publications SET status = 'planned'
WHERE account_id = %(account)s AND id = %(publication)s AND status IN ('accepted', 'confirmed')

-- name: publication_hold
UPDATE publications SET claimed_until = clock_timestamp() + %(lease)s
WHERE account_id = %(account)s AND id = %(publication)s AND claim = %(claim)s

-- name: publication_time_lock
SELECT pg_advisory_xact_lock(
    hashtextextended(%(target)s::text || extract(epoch FROM %(at)s::timestamptz), %(workflow)s::bigint))

-- name: publication_time_taken
SELECT content FROM publications
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND target = %(target)s AND scheduled_for = %(at)s
    AND id <> %(publication)s AND status IN ('attempting', 'unknown', 'accepted', 'confirmed')
LIMIT 1

-- name: publication_attempt
UPDATE publications SET status = 'attempting', attempts = attempts + 1, attempted_at = clock_timestamp(), error = '',
    run_id = %(run)s, content_hash = %(content_hash)s, scheduled_for = %(at)s, sent = %(sent)s,
    settles_at = clock_timestamp() + %(settles_in)s, external_id = CASE WHEN %(keep_id)s::boolean THEN external_id END,
    preview_url = '', public_url = '',
    claimed_until = clock_timestamp() + %(lease)s
WHERE account_id = %(account)s AND id = %(publication)s AND claim = %(claim)s AND status NOT IN ('accepted', 'confirmed')

-- name: publication_lost
-- The call was not answered, and is over.
UPDATE publications SET settles_at = clock_timestamp() + %(settles_in)s,
    claimed_until = clock_timestamp() + %(lease)s
WHERE account_id = %(account)s AND id = %(publication)s AND claim = %(claim)s

-- name: publication_twin
-- Another publication that the target has under the same id.
SELECT content FROM publications
WHERE account_id = %(account)s AND target = %(target)s AND external_id = %(external_id)s AND id <> %(publication)s
    AND status <> 'withdrawn'
LIMIT 1

-- name: publication_accept
UPDATE publications SET status = 'accepted', external_id = %(external_id)s, preview_url = %(preview_url)s,
    public_url = %(public_url)s, accepted_at = clock_timestamp(), error = '', claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND id = %(publication)s AND status NOT IN ('accepted', 'confirmed')

-- name: publication_back
-- Not there, and nothing under way: the next try begins anew. Or failed, or still open.
UPDATE publications SET status = %(status)s, error = %(error)s, claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND id = %(publication)s AND claim = %(claim)s AND status NOT IN ('accepted', 'confirmed')

-- name: publication_by_id
SELECT id, run_id, content, target, status, content_hash, scheduled_for, external_id, preview_url, public_url,
    attempts, error, attempted_at, accepted_at, confirmed_at
FROM publications
WHERE account_id = %(account)s AND id = %(publication)s
    AND (%(workflow)s::bigint IS NULL OR workflow_id = %(workflow)s::bigint)

-- name: publications_of_workflow
SELECT id, run_id, content, target, status, content_hash, scheduled_for, external_id, preview_url, public_url,
    attempts, error, attempted_at, accepted_at, confirmed_at
FROM publications
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY scheduled_for, id

-- name: publications_of_run
SELECT id, run_id, content, target, status, content_hash, scheduled_for, external_id, preview_url, public_url,
    attempts, error, attempted_at, accepted_at, confirmed_at
FROM publications WHERE account_id = %(account)s AND run_id = %(run)s AND status = %(status)s ORDER BY id

-- name: publications_open
-- Of posts: what other publications are looked for by, their targets know.
SELECT content, target, content_hash, scheduled_for, coalesce(sent, '{}') AS sent FROM publications
WHERE account_id = %(account)s AND run_id = %(run)s AND status IN ('attempting', 'unknown')
    AND starts_with(content, 'post:')
ORDER BY id

-- name: publication_give_up
UPDATE publications SET status = 'unknown', claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND run_id = %(run)s AND status = 'attempting'
RETURNING id

-- name: publication_settle
UPDATE publications SET
    status = CASE WHEN %(sent)s::boolean THEN 'accepted' ELSE 'planned' END,
    external_id = CASE WHEN %(sent)s::boolean THEN %(external_id)s::text END,
    accepted_at = CASE WHEN %(sent)s::boolean THEN clock_timestamp() END,
    claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND id = %(publication)s
    AND status IN ('unknown', 'attempting') AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())

-- name: posts_follow_publications
-- What the target has is scheduled, however that came to light.
UPDATE posts SET status = 'scheduled', updated_at = now()
FROM publications AS p
WHERE posts.account_id = %(account)s AND p.account_id = posts.account_id AND p.content = 'post:' || posts.id
    AND (p.run_id = %(run)s::bigint OR p.id = %(publication)s::bigint)
    AND p.status = 'accepted' AND posts.status = 'approved'

-- name: publications_withdrawn
UPDATE publications SET status = 'withdrawn', claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND id = ANY(%(ids)s::bigint[]) AND status <> 'confirmed'

-- The mission's publish stage. An approval counts for the content that it was given for. Of two approved variants, the
-- first one is published.
-- name: posts_to_publish
SELECT posts.id FROM posts
JOIN cycles ON cycles.account_id = posts.account_id AND cycles.id = posts.cycle_id
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s AND cycles.run_id = %(run)s
    AND cycles.withdrawn_at IS NULL AND posts.status = 'approved' AND posts.approved_hash = posts.content_hash
    AND NOT EXISTS (
        SELECT FROM posts AS other
        WHERE other.account_id = %(account)s AND other.slot_id = posts.slot_id AND other.id <> posts.id
            AND (other.status IN ('scheduled', 'published')
                OR (other.status = 'approved' AND other.approved_hash = other.content_hash
                    AND other.variant < posts.variant)))
    AND (%(ids)s::bigint[] IS NULL OR posts.id = ANY(%(ids)s::bigint[]))
    AND NOT EXISTS (
        SELECT FROM item_failures f
        WHERE f.account_id = %(account)s AND f.workflow_id = %(mission)s AND f.stage = 'publish'
            AND f.item = posts.id::text AND f.attempts >= 3)
ORDER BY posts.id

-- name: posts_ready
SELECT posts.id, posts.slot_id, posts.platform, posts.parts, posts.options, posts.media_url, posts.media_alt,
    posts.content_hash, slots.at, cycles.ends_at,
    ARRAY(
        SELECT other.at FROM slots AS other
        WHERE other.account_id = %(account)s AND other.mission_id = posts.mission_id
            AND other.platform = posts.platform AND other.status <> 'withdrawn' AND other.id <> slots.id
            AND other.at >= cycles.starts_at) AS taken,
    EXISTS (
        SELECT FROM publications AS p
        WHERE p.account_id = %(account)s AND p.content = 'post:' || posts.id
            AND p.status IN ('attempting', 'unknown', 'accepted', 'confirmed')) AS attempted
FROM posts
JOIN slots ON slots.account_id = posts.account_id AND slots.id = posts.slot_id
JOIN cycles ON cycles.account_id = posts.account_id AND cycles.id = posts.cycle_id
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s AND posts.id = ANY(%(ids)s::bigint[])
ORDER BY slots.at, posts.id

-- name: posts_in_review
SELECT count(*) FROM posts
JOIN cycles ON cycles.account_id = posts.account_id AND cycles.id = posts.cycle_id
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s AND cycles.run_id = %(run)s
    AND cycles.withdrawn_at IS NULL AND posts.status = 'pending_review'

-- name: post_scheduled
UPDATE posts SET status = 'scheduled', updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(post)s AND status = 'approved'

-- name: slot_moved
UPDATE slots SET at = %(at)s WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(slot)s

-- name: post_refused
UPDATE posts SET status = 'failed', updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(post)s AND status = 'approved'
    AND EXISTS (
        SELECT FROM publications AS p
        WHERE p.account_id = %(account)s AND p.content = 'post:' || posts.id AND p.status = 'failed')

-- name: post_in_doubt
-- Nobody is at it any more, and nobody knows.
UPDATE publications SET status = 'unknown', claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND workflow_id = %(mission)s AND content = 'post:' || %(post)s::bigint
    AND status = 'attempting' AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())

-- name: publications_of_cycle
-- With the posts that failed before there was a publication.
SELECT coalesce(p.status, '') AS status, coalesce(p.scheduled_for, slots.at) AS scheduled_for, p.external_id,
    coalesce(p.preview_url, '') AS preview_url, coalesce(nullif(p.error, ''), f.error, '') AS error,
    f.item IS NOT NULL AS given_up, posts.id AS post, posts.platform
FROM posts
JOIN slots ON slots.account_id = posts.account_id AND slots.id = posts.slot_id
LEFT JOIN publications AS p
    ON p.account_id = posts.account_id AND p.workflow_id = posts.mission_id AND p.content = 'post:' || posts.id
LEFT JOIN item_failures AS f
    ON f.account_id = posts.account_id AND f.workflow_id = posts.mission_id AND f.stage = 'publish'
    AND f.item = posts.id::text
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s AND posts.cycle_id = %(cycle)s
    AND posts.status <> 'archived' AND (p.id IS NOT NULL OR f.item IS NOT NULL)
ORDER BY 2, posts.id

-- name: publications_to_withdraw
SELECT p.id, p.status, p.target, p.scheduled_for, p.external_id, p.public_url, coalesce(p.sent, '{}') AS sent,
    greatest(extract(epoch FROM p.settles_at - clock_timestamp()), 0)::float8 AS unsettled, posts.id AS post,
    posts.platform
FROM publications AS p
JOIN posts ON posts.account_id = p.account_id AND p.content = 'post:' || posts.id
WHERE p.account_id = %(account)s AND p.workflow_id = %(mission)s AND p.run_id = %(run)s
    AND p.status IN ('attempting', 'unknown', 'accepted', 'confirmed')
ORDER BY p.id

-- name: posts_unscheduled
UPDATE posts SET status = 'approved', updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = ANY(%(ids)s::bigint[]) AND status = 'scheduled'
