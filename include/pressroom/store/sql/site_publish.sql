-- A site's articles from review on: decisions and publishing. `targets`: the site's targets as the publication ledger
-- names them. `updates`: whether each target can change a published article.

-- name: articles_reviewed
-- Returns a site's articles from review on. `status`, `content`: filters; null matches everything.
SELECT id, title, slug, meta_description, html, excerpt, tags, word_count, status, content_hash, approved_hash,
    approved_terms, approved_by, approved_at, review_note, published_at
FROM contents
WHERE account_id = %(account)s AND site_id = %(site)s
    AND status IN ('review', 'approved', 'rejected', 'published')
    AND (%(status)s::text IS NULL OR status = %(status)s)
    AND (%(content)s::bigint IS NULL OR id = %(content)s)
ORDER BY id

-- name: article_images
-- Returns the generated images of these articles.
SELECT content_id, position, media_url, media_type, alt FROM images
WHERE account_id = %(account)s AND site_id = %(site)s AND content_id = ANY(%(ids)s::bigint[]) AND status = 'generated'
ORDER BY content_id, position

-- name: article_hash
-- Sets the hash of an article's present version.
UPDATE contents SET content_hash = %(content_hash)s
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(content)s AND content_hash <> %(content_hash)s

-- name: article_approve
-- Approves the version of an article that has this hash, for these terms of the targets. No row when it changed since.
UPDATE contents SET status = 'approved', approved_hash = content_hash, approved_terms = %(terms)s::jsonb,
    approved_by = %(by)s, approved_at = now(), review_note = '', updated_at = now()
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(content)s AND content_hash = %(content_hash)s
    AND status IN ('review', 'rejected')

-- name: site_lock
-- Keeps a site's definition as it is until the transaction ends.
SELECT id FROM sites WHERE account_id = %(account)s AND id = %(site)s FOR SHARE

-- name: articles_of_other_terms
-- Returns approved articles whose approval is for other terms of the targets.
SELECT id, approved_terms, approved_by FROM contents
WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'approved'
    AND approved_terms IS DISTINCT FROM %(terms)s::jsonb
ORDER BY id
FOR NO KEY UPDATE

-- name: article_terms
-- Sets the terms for which an article is approved.
UPDATE contents SET approved_terms = %(terms)s::jsonb
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(content)s AND status = 'approved'

-- name: article_void
-- Returns an approved article to review. No row when it is not approved any more.
UPDATE contents SET status = 'review', approved_hash = NULL, approved_terms = NULL, approved_by = NULL,
    approved_at = NULL, review_note = %(note)s, updated_at = now()
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(content)s AND status = 'approved'

-- name: article_reject
-- Rejects an article. No row when a target has or may have this version; an edited article can be rejected while a
-- target has the version before.
UPDATE contents SET status = 'rejected', approved_hash = NULL, approved_terms = NULL, approved_by = NULL,
    approved_at = NULL, review_note = %(note)s, updated_at = now()
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(content)s AND status IN ('review', 'approved')
    AND NOT EXISTS (
        SELECT FROM publications AS p
        WHERE p.account_id = %(account)s AND p.content = 'article:' || contents.id
            AND p.content_hash = contents.content_hash
            AND p.status IN ('attempting', 'unknown', 'accepted', 'confirmed'))

-- name: article_edit
-- Replaces an article's title and text and voids its approval.
UPDATE contents SET status = 'review', title = %(title)s, html = %(html)s, word_count = %(words)s,
    content_hash = %(content_hash)s, approved_hash = NULL, approved_terms = NULL, approved_by = NULL,
    approved_at = NULL, review_note = %(note)s, updated_at = now()
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(content)s
    AND status IN ('review', 'approved', 'rejected', 'published')

-- name: articles_to_publish
-- Returns each article that is approved for these `terms` of the targets, with the place of each target that lacks it.
-- An article that all targets have comes once, with the first target: its worker died before it could set the status.
SELECT id, place FROM (
    SELECT contents.id, t.place, t.target, p.id IS NOT NULL AS has_it,
        bool_and(p.id IS NOT NULL) OVER (PARTITION BY contents.id) AS everywhere
    FROM contents
    CROSS JOIN unnest(%(targets)s::text[], %(updates)s::boolean[]) WITH ORDINALITY AS t (target, updates, place)
    LEFT JOIN publications AS p ON p.account_id = contents.account_id AND p.content = 'article:' || contents.id
        AND p.target = t.target AND p.status IN ('accepted', 'confirmed')
        AND (p.content_hash = contents.content_hash OR NOT t.updates)
    WHERE contents.account_id = %(account)s AND contents.site_id = %(site)s AND contents.status = 'approved'
        AND contents.approved_hash = contents.content_hash AND contents.approved_terms = %(terms)s::jsonb
        AND (%(ids)s::bigint[] IS NULL OR contents.id = ANY(%(ids)s::bigint[]))) AS pairs
WHERE (NOT has_it OR (everywhere AND place = 1))
    AND NOT EXISTS (
        SELECT FROM item_failures AS f
        WHERE f.account_id = %(account)s AND f.workflow_id = %(site)s AND f.stage = 'publish'
            AND f.item = pairs.id || ':' || pairs.target AND f.attempts >= 3)
ORDER BY id, place

-- name: article_published
-- Sets an article to published once every target has its approved version.
UPDATE contents SET status = 'published', published_at = coalesce(published_at, now()), updated_at = now()
WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(content)s AND status = 'approved'
    AND approved_hash = %(content_hash)s AND approved_terms = %(terms)s::jsonb
    AND NOT EXISTS (
        SELECT FROM unnest(%(targets)s::text[], %(updates)s::boolean[]) AS t (target, updates)
        WHERE NOT EXISTS (
            SELECT FROM publications AS p
            WHERE p.account_id = %(account)s AND p.content = 'article:' || contents.id AND p.target = t.target
                AND p.status IN ('accepted', 'confirmed')
                AND (p.content_hash = contents.content_hash OR NOT t.updates)))

-- name: articles_approved
-- Returns how many approved articles a site has.
SELECT count(*) FROM contents WHERE account_id = %(account)s AND site_id = %(site)s AND status = 'approved'

-- name: article_taken_back
-- Returns an article that was taken back from a target to review: no run publishes it until it is approved again.
UPDATE contents SET status = 'review', approved_hash = NULL, approved_terms = NULL, approved_by = NULL,
    approved_at = NULL, review_note = %(note)s, updated_at = now()
WHERE account_id = %(account)s AND id = %(content)s AND status IN ('approved', 'published')
