-- Keywords, clusters and ideas, in pages. Highest id first; `before`: the last id shown. Null filters match everything.

-- name: site_known
-- Returns the site's id if the account has the site.
SELECT id FROM sites WHERE account_id = %(account)s AND id = %(site)s

-- name: keywords_page
-- Returns a page of keywords. `q`: normalized text that occurs anywhere in a keyword.
SELECT id, site_id, text, volume, difficulty, intent, status, disabled, cluster_id, created_at
FROM keywords
WHERE account_id = %(account)s AND (%(before)s::bigint IS NULL OR id < %(before)s)
    AND (%(site)s::bigint IS NULL OR site_id = %(site)s)
    AND (%(cluster)s::bigint IS NULL OR cluster_id = %(cluster)s)
    AND (%(status)s::text IS NULL OR status = %(status)s)
    AND (%(disabled)s::boolean IS NULL OR disabled = %(disabled)s)
    AND (%(q)s::text IS NULL OR position(%(q)s IN normalized) > 0)
ORDER BY id DESC
LIMIT %(limit)s

-- name: site_keywords
-- Returns how many keywords a site has.
SELECT count(*) FROM keywords WHERE account_id = %(account)s AND site_id = %(site)s

-- name: keywords_named
-- Returns a site's keywords with these normalized texts.
SELECT id, site_id, text, volume, difficulty, intent, status, disabled, cluster_id, created_at
FROM keywords
WHERE account_id = %(account)s AND site_id = %(site)s AND normalized = ANY(%(normalized)s::text[])
ORDER BY id

-- name: keywords_known
-- Returns how many of `rows` a site has: a JSON array as import_keywords takes it.
SELECT count(*) FROM keywords
WHERE account_id = %(account)s AND site_id = %(site)s
    AND normalized IN (SELECT keyword->>1 FROM jsonb_array_elements(%(rows)s::jsonb) AS keyword)

-- name: keywords_to_move
-- Returns a site's keywords with these ids and their clusters, and keeps them as they are until the end.
SELECT id, cluster_id FROM keywords
WHERE account_id = %(account)s AND site_id = %(site)s AND id = ANY(%(ids)s::bigint[])
ORDER BY id
FOR UPDATE

-- name: cluster_of_site
-- Returns the cluster's id if the site has it, and keeps it there until the end.
SELECT id FROM clusters WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(cluster)s FOR KEY SHARE

-- name: keywords_move
-- Puts keywords into a cluster; null: into none, so they are new.
UPDATE keywords
SET cluster_id = %(cluster)s::bigint, status = CASE WHEN %(cluster)s::bigint IS NULL THEN 'new' ELSE 'clustered' END
WHERE account_id = %(account)s AND site_id = %(site)s AND id = ANY(%(ids)s::bigint[])

-- name: keyword_row
-- Returns one keyword.
SELECT id, site_id, text, volume, difficulty, intent, status, disabled, cluster_id, created_at
FROM keywords
WHERE account_id = %(account)s AND id = %(id)s

-- name: keyword_change
-- Updates the columns that `changes` names and keeps the others. Returns the keyword.
UPDATE keywords
SET (volume, difficulty, intent, disabled) = (
    SELECT new.volume, new.difficulty, new.intent, new.disabled
    FROM jsonb_populate_record(keywords, %(changes)s::jsonb) AS new)
WHERE account_id = %(account)s AND id = %(id)s
RETURNING id, site_id, text, volume, difficulty, intent, status, disabled, cluster_id, created_at

-- name: clusters_page
-- Returns a page of clusters with the numbers of their keywords and ideas, counted for the page only.
SELECT page.*,
    (SELECT count(*) FROM keywords
     WHERE keywords.account_id = %(account)s AND keywords.cluster_id = page.id) AS keywords,
    (SELECT count(*) FROM ideas
     WHERE ideas.account_id = %(account)s AND ideas.cluster_id = page.id) AS ideas
FROM (
    SELECT id, site_id, name, description, status, disabled, created_at
    FROM clusters
    WHERE account_id = %(account)s AND (%(before)s::bigint IS NULL OR id < %(before)s)
        AND (%(site)s::bigint IS NULL OR site_id = %(site)s)
        AND (%(status)s::text IS NULL OR status = %(status)s)
        AND (%(disabled)s::boolean IS NULL OR disabled = %(disabled)s)
    ORDER BY id DESC
    LIMIT %(limit)s
) AS page
ORDER BY page.id DESC

-- name: cluster_row
-- Returns one cluster with the numbers of its keywords and ideas.
SELECT id, site_id, name, description, status, disabled, created_at,
    (SELECT count(*) FROM keywords
     WHERE keywords.account_id = %(account)s AND keywords.cluster_id = clusters.id) AS keywords,
    (SELECT count(*) FROM ideas
     WHERE ideas.account_id = %(account)s AND ideas.cluster_id = clusters.id) AS ideas
FROM clusters
WHERE account_id = %(account)s AND id = %(id)s

-- name: cluster_create
-- Inserts a cluster. Returns its id; no row when the site has one of this name.
INSERT INTO clusters (account_id, site_id, name, normalized, description)
VALUES (%(account)s, %(site)s, %(name)s, %(normalized)s, %(description)s)
ON CONFLICT (site_id, normalized) DO NOTHING
RETURNING id

-- name: cluster_change
-- Updates the columns that `changes` names and keeps the others.
UPDATE clusters
SET (name, normalized, description, disabled) = (
    SELECT new.name, new.normalized, new.description, new.disabled
    FROM jsonb_populate_record(clusters, %(changes)s::jsonb) AS new)
WHERE account_id = %(account)s AND id = %(id)s
RETURNING id, site_id, name, description, status, disabled, created_at,
    (SELECT count(*) FROM keywords
     WHERE keywords.account_id = %(account)s AND keywords.cluster_id = clusters.id) AS keywords,
    (SELECT count(*) FROM ideas
     WHERE ideas.account_id = %(account)s AND ideas.cluster_id = clusters.id) AS ideas

-- name: cluster_named
-- Returns the id of the site's cluster with this normalized name.
SELECT id FROM clusters
WHERE account_id = %(account)s AND normalized = %(normalized)s AND site_id = %(site)s

-- name: ideas_page
-- Returns a page of ideas.
SELECT id, site_id, cluster_id, title, angle, type, target_keywords, outline, status, disabled, created_at
FROM ideas
WHERE account_id = %(account)s AND (%(before)s::bigint IS NULL OR id < %(before)s)
    AND (%(site)s::bigint IS NULL OR site_id = %(site)s)
    AND (%(cluster)s::bigint IS NULL OR cluster_id = %(cluster)s)
    AND (%(status)s::text IS NULL OR status = %(status)s)
    AND (%(disabled)s::boolean IS NULL OR disabled = %(disabled)s)
ORDER BY id DESC
LIMIT %(limit)s

-- name: idea_row
-- Returns one idea.
SELECT id, site_id, cluster_id, title, angle, type, target_keywords, outline, status, disabled, created_at
FROM ideas
WHERE account_id = %(account)s AND id = %(id)s

-- name: idea_create
-- Inserts an idea into a cluster. Returns its id; no row when the site has one of this title or the cluster is unknown.
INSERT INTO ideas (account_id, site_id, cluster_id, title, normalized, angle, type, target_keywords, outline)
SELECT account_id, site_id, id, %(title)s, %(normalized)s, %(angle)s, %(type)s, %(target_keywords)s::text[],
    %(outline)s::text[]
FROM clusters WHERE account_id = %(account)s AND site_id = %(site)s AND id = %(cluster_id)s
ON CONFLICT (site_id, normalized) DO NOTHING
RETURNING id

-- name: idea_change
-- Updates the columns that `changes` names and keeps the others. Returns the idea; no row when it is no longer new,
-- because a task was made from it.
UPDATE ideas
SET (title, normalized, angle, type, target_keywords, outline, disabled) = (
    SELECT new.title, new.normalized, new.angle, new.type, new.target_keywords, new.outline, new.disabled
    FROM jsonb_populate_record(ideas, %(changes)s::jsonb) AS new)
WHERE account_id = %(account)s AND id = %(id)s AND status = 'new'
RETURNING id, site_id, cluster_id, title, angle, type, target_keywords, outline, status, disabled, created_at

-- name: idea_titled
-- Returns the id of the site's idea with this normalized title.
SELECT id FROM ideas WHERE account_id = %(account)s AND site_id = %(site)s AND normalized = %(normalized)s
