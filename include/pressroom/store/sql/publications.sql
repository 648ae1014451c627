-- The publication ledger: one piece of content on one target. Times of attempts are the database's, so that all workers
-- agree on them.

-- name: publication_plan
-- Inserts a planned publication unless it exists.
INSERT INTO publications (account_id, workflow_id, run_id, content, target, content_hash, scheduled_for)
VALUES (%(account)s, %(workflow)s, %(run)s, %(content)s, %(target)s, %(content_hash)s, %(at)s)
ON CONFLICT (account_id, content, target) DO NOTHING

-- name: publication_lock
-- Locks a publication until the transaction ends, and returns it. `claimed_seconds`: until the claim ends, null when
-- there is none. `unsettled_seconds`: until the target shows all that it has accepted.
SELECT id, run_id, content, target, status, content_hash, scheduled_for, external_id, preview_url, public_url,
    attempts, error, attempted_at, accepted_at, confirmed_at, coalesce(sent, '{}') AS sent, by_hand,
    extract(epoch FROM claimed_until - clock_timestamp())::float8 AS claimed_seconds,
    greatest(extract(epoch FROM settles_at - clock_timestamp()), 0)::float8 AS unsettled_seconds
FROM publications
WHERE account_id = %(account)s AND content = %(content)s AND target = %(target)s
FOR NO KEY UPDATE

-- name: publication_claim
-- Gives a publication to a worker for the length of the lease.
UPDATE publications SET claim = %(claim)s, claimed_until = clock_timestamp() + %(lease)s
WHERE account_id = %(account)s AND id = %(publication)s

-- name: publication_reopen
-- Sets an accepted publication to planned again, because the target's version is to be changed. The external id stays:
-- it says that there is one.
UPDATE publications SET status = 'planned'
WHERE account_id = %(account)s AND id = %(publication)s AND status IN ('accepted', 'confirmed')

-- name: publication_hold
-- Extends a worker's claim. No row when the claim was lost.
UPDATE publications SET claimed_until = clock_timestamp() + %(lease)s
WHERE account_id = %(account)s AND id = %(publication)s AND claim = %(claim)s

-- name: publication_claim_to_unpublish
-- Claims a publication that the target has. Returns how many: 0 when a worker is at it.
UPDATE publications SET claim = %(claim)s, claimed_until = clock_timestamp() + %(lease)s
WHERE account_id = %(account)s AND id = %(publication)s AND status IN ('accepted', 'confirmed')
    AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())

-- name: publication_release
-- Lets go of a publication that stays as it is.
UPDATE publications SET claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND id = %(publication)s AND claim = %(claim)s

-- name: publication_unpublished
-- Withdraws a publication that its target no longer has. Returns how many: 0 when the claim was lost.
UPDATE publications SET status = 'withdrawn', claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND id = %(publication)s AND claim = %(claim)s AND status IN ('accepted', 'confirmed')

-- name: publication_time_lock
-- Locks one time on one target of a workflow until the transaction ends.
SELECT pg_advisory_xact_lock(
    hashtextextended(%(target)s::text || extract(epoch FROM %(at)s::timestamptz), %(workflow)s::bigint))

-- name: publication_time_taken
-- Returns the other piece that the target has or may have at this time.
SELECT content FROM publications
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND target = %(target)s AND scheduled_for = %(at)s
    AND id <> %(publication)s AND status IN ('attempting', 'unknown', 'accepted', 'confirmed')
LIMIT 1

-- name: publication_attempt
-- Records the intent to send, before the call. No row when the claim was lost or the target has the piece.
UPDATE publications SET status = 'attempting', attempts = attempts + 1, attempted_at = clock_timestamp(), error = '',
    run_id = %(run)s, content_hash = %(content_hash)s, scheduled_for = %(at)s, sent = %(sent)s,
    settles_at = clock_timestamp() + %(settles_in)s, external_id = CASE WHEN %(keep_id)s::boolean THEN external_id END,
    by_hand = by_hand AND %(keep_id)s, preview_url = '', public_url = '',
    claimed_until = clock_timestamp() + %(lease)s
WHERE account_id = %(account)s AND id = %(publication)s AND claim = %(claim)s AND status NOT IN ('accepted', 'confirmed')

-- name: publication_note
-- Records as what the target is going to have the piece. No row when the claim was lost.
UPDATE publications SET sent = coalesce(sent, '{}') || %(noted)s::jsonb
WHERE account_id = %(account)s AND id = %(publication)s AND claim = %(claim)s

-- name: publication_lost
-- Records that a call ended without an answer. No row when the claim was lost.
UPDATE publications SET settles_at = clock_timestamp() + %(settles_in)s,
    claimed_until = clock_timestamp() + %(lease)s
WHERE account_id = %(account)s AND id = %(publication)s AND claim = %(claim)s

-- name: publication_twin
-- Returns the other piece that the target has under the same external id.
SELECT content FROM publications
WHERE account_id = %(account)s AND target = %(target)s AND external_id = %(external_id)s AND id <> %(publication)s
    AND status <> 'withdrawn'
LIMIT 1

-- name: publication_accept
-- Records that the target has the piece, and ends the claim.
UPDATE publications SET status = 'accepted', external_id = %(external_id)s, preview_url = %(preview_url)s,
    public_url = %(public_url)s, accepted_at = clock_timestamp(), error = '', claim = NULL, claimed_until = NULL,
    by_hand = false
WHERE account_id = %(account)s AND id = %(publication)s AND status NOT IN ('accepted', 'confirmed')

-- name: publication_back
-- Ends an attempt that the target did not accept: planned to try again, failed, or unknown. No row when the claim was
-- lost.
UPDATE publications SET status = %(status)s, error = %(error)s, claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND id = %(publication)s AND claim = %(claim)s AND status NOT IN ('accepted', 'confirmed')

-- name: publication_by_id
-- Returns one publication, of any workflow when `workflow` is null.
SELECT id, run_id, content, target, status, content_hash, scheduled_for, external_id, preview_url, public_url,
    attempts, error, attempted_at, accepted_at, confirmed_at
FROM publications
WHERE account_id = %(account)s AND id = %(publication)s
    AND (%(workflow)s::bigint IS NULL OR workflow_id = %(workflow)s::bigint)

-- name: publication_sent
-- Returns what the last try of a publication sent, and whether a person has named its external id.
SELECT by_hand, coalesce(sent, '{}') AS sent FROM publications
WHERE account_id = %(account)s AND id = %(publication)s

-- name: publications_of_workflow
-- Returns a workflow's publications by time. `status` null: all.
SELECT id, run_id, content, target, status, content_hash, scheduled_for, external_id, preview_url, public_url,
    attempts, error, attempted_at, accepted_at, confirmed_at
FROM publications
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY scheduled_for, id

-- name: publications_of_run
-- Returns a run's publications in one status.
SELECT id, run_id, content, target, status, content_hash, scheduled_for, external_id, preview_url, public_url,
    attempts, error, attempted_at, accepted_at, confirmed_at
FROM publications WHERE account_id = %(account)s AND run_id = %(run)s AND status = %(status)s ORDER BY id

-- name: publications_open
-- Returns a run's publications of posts whose outcome is unknown. Other targets find their pieces by what they left
-- there.
SELECT content, target, content_hash, scheduled_for, coalesce(sent, '{}') AS sent FROM publications
WHERE account_id = %(account)s AND run_id = %(run)s AND status IN ('attempting', 'unknown')
    AND starts_with(content, 'post:')
ORDER BY id

-- name: publication_give_up
-- Sets a run's attempts under way to unknown. Returns their ids.
UPDATE publications SET status = 'unknown', claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND run_id = %(run)s AND status = 'attempting'
RETURNING id

-- name: publication_settle
-- Settles an unknown publication by hand: accepted when `sent`, else planned. No row while a worker is at it.
UPDATE publications SET
    status = CASE WHEN %(sent)s::boolean THEN 'accepted' ELSE 'planned' END,
    external_id = CASE WHEN %(sent)s::boolean THEN %(external_id)s::text END,
    accepted_at = CASE WHEN %(sent)s::boolean THEN clock_timestamp() END, by_hand = %(sent)s,
    claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND workflow_id = %(workflow)s AND id = %(publication)s
    AND status IN ('unknown', 'attempting') AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())

-- name: posts_follow_publications
-- Sets approved posts that the target has accepted to scheduled.
UPDATE posts SET status = 'scheduled', updated_at = now()
FROM publications AS p
WHERE posts.account_id = %(account)s AND p.account_id = posts.account_id AND p.content = 'post:' || posts.id
    AND (p.run_id = %(run)s::bigint OR p.id = %(publication)s::bigint)
    AND p.status = 'accepted' AND posts.status = 'approved'

-- name: publications_withdrawn
-- Sets publications to withdrawn unless they are confirmed.
UPDATE publications SET status = 'withdrawn', claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND id = ANY(%(ids)s::bigint[]) AND status <> 'confirmed'

-- name: posts_to_publish
-- Returns the ids of the posts of the run's cycle that are approved in their present version. Of two approved variants,
-- the first is published.
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
-- Returns these posts with all that publishing needs. `taken`: other times of the platform's slots. `attempted`: the
-- target has or may have the post.
SELECT posts.id, posts.slot_id, posts.platform, posts.parts, posts.options, posts.media_url, posts.media_alt,
    posts.content_hash, posts.approved_hash, posts.approved_terms, posts.approved_by, slots.at, cycles.ends_at,
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
-- Returns how many posts of the run's cycle wait for review.
SELECT count(*) FROM posts
JOIN cycles ON cycles.account_id = posts.account_id AND cycles.id = posts.cycle_id
WHERE posts.account_id = %(account)s AND posts.mission_id = %(mission)s AND cycles.run_id = %(run)s
    AND cycles.withdrawn_at IS NULL AND posts.status = 'pending_review'

-- name: post_scheduled
-- Sets an approved post to scheduled.
UPDATE posts SET status = 'scheduled', updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(post)s AND status = 'approved'

-- name: slot_moved
-- Sets a slot's time.
UPDATE slots SET at = %(at)s WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(slot)s

-- name: post_void
-- Returns an approved post to review. No row when the target has or may have it.
UPDATE posts SET status = 'pending_review', approved_hash = NULL, approved_terms = NULL, approved_by = NULL,
    review_note = %(note)s, updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(post)s AND status = 'approved'
    AND NOT EXISTS (
        SELECT FROM publications AS p
        WHERE p.account_id = %(account)s AND p.content = 'post:' || posts.id
            AND p.status IN ('attempting', 'unknown', 'accepted', 'confirmed'))

-- name: post_refused
-- Sets an approved post whose publication failed to failed.
UPDATE posts SET status = 'failed', updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = %(post)s AND status = 'approved'
    AND EXISTS (
        SELECT FROM publications AS p
        WHERE p.account_id = %(account)s AND p.content = 'post:' || posts.id AND p.status = 'failed')

-- name: post_in_doubt
-- Sets a post's attempt to unknown when no worker is at it.
UPDATE publications SET status = 'unknown', claim = NULL, claimed_until = NULL
WHERE account_id = %(account)s AND workflow_id = %(mission)s AND content = 'post:' || %(post)s::bigint
    AND status = 'attempting' AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())

-- name: publications_of_cycle
-- Returns the publications of a cycle's posts by time, and the posts that failed before they had one (`status` '').
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
-- Returns the run's publications that the target has or may have.
SELECT p.id, p.status, p.target, p.scheduled_for, p.external_id, p.public_url, coalesce(p.sent, '{}') AS sent,
    greatest(extract(epoch FROM p.settles_at - clock_timestamp()), 0)::float8 AS unsettled, posts.id AS post,
    posts.platform, p.by_hand
FROM publications AS p
JOIN posts ON posts.account_id = p.account_id AND p.content = 'post:' || posts.id
WHERE p.account_id = %(account)s AND p.workflow_id = %(mission)s AND p.run_id = %(run)s
    AND p.status IN ('attempting', 'unknown', 'accepted', 'confirmed')
ORDER BY p.id

-- name: posts_unscheduled
-- Sets scheduled posts back to approved.
UPDATE posts SET status = 'approved', updated_at = now()
WHERE account_id = %(account)s AND mission_id = %(mission)s AND id = ANY(%(ids)s::bigint[]) AND status = 'scheduled'
