-- The queue of everything that waits for a person, and what an editor compares and weighs.

-- name: review_queue
-- Returns what waits for a person, of the account or of one workflow: articles, posts, gates of flows, and publications
-- that failed or of which nobody knows. `order` risk: publications first, then gates, then pieces with the lowest score;
-- one that is not rated yet comes before the others. `least`: pieces with this score and more, and nothing else.
SELECT * FROM (
    SELECT 'article' AS kind, contents.id, contents.site_id AS workflow_id, contents.title, contents.word_count,
        NULL AS place, contents.created_at, contents.content_hash, contents.score::int AS score, NULL::timestamptz AS due_at,
        '' AS problem, 3 AS rank
    FROM contents
    WHERE contents.account_id = %(account)s AND contents.status = 'review'
        AND (%(workflow)s::bigint IS NULL OR contents.site_id = %(workflow)s)
    UNION ALL
    SELECT 'post', posts.id, posts.mission_id, left(posts.parts[1], 300), NULL, posts.platform, posts.created_at,
        posts.content_hash, round(100 * posts.confidence)::int, NULL, '', 3
    FROM posts
    WHERE posts.account_id = %(account)s AND posts.status = 'pending_review'
        AND (%(workflow)s::bigint IS NULL OR posts.mission_id = %(workflow)s)
    UNION ALL
    SELECT 'gate', gates.id, items.flow_id, coalesce(nullif(items.source ->> 'title', ''), gates.subject), NULL, gates.step,
        gates.created_at, '', NULL, gates.due_at, '', 2
    FROM open_gates AS open
    JOIN gates ON gates.account_id = %(account)s AND gates.id = open.id
    JOIN flow_items AS items ON items.account_id = %(account)s AND items.id = gates.item_id
    WHERE open.account_id = %(account)s AND gates.by <> 'time'
        AND (%(workflow)s::bigint IS NULL OR items.flow_id = %(workflow)s)
    UNION ALL
    SELECT 'publication', p.id, p.workflow_id,
        coalesce(contents.title, left(posts.parts[1], 300), p.content), NULL, p.target,
        coalesce(p.attempted_at, p.created_at), '', NULL, NULL, p.error, CASE p.status WHEN 'unknown' THEN 0 ELSE 1 END
    FROM publications AS p
    LEFT JOIN contents ON contents.account_id = %(account)s
        AND contents.id = substring(p.content FROM '^article:([0-9]{1,18})$')::bigint
    LEFT JOIN posts ON posts.account_id = %(account)s
        AND posts.id = substring(p.content FROM '^post:([0-9]{1,18})$')::bigint
    WHERE p.account_id = %(account)s AND p.status IN ('unknown', 'failed')
        AND (%(workflow)s::bigint IS NULL OR p.workflow_id = %(workflow)s)
) AS waiting
WHERE (%(least)s::int IS NULL OR score >= %(least)s)
    AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s))
ORDER BY CASE WHEN %(order)s = 'risk' THEN rank END,
    CASE WHEN %(order)s = 'risk' THEN coalesce(score, -1) END,
    CASE WHEN %(order)s = 'newest' THEN created_at END DESC, created_at, kind, id
LIMIT %(limit)s

-- name: review_counts
-- Returns how many pieces, gates and publications of each workflow wait for a person. `kinds`: only those, null for all.
SELECT workflows.id, workflows.kind, workflows.slug,
    coalesce(sites.definition ->> 'name', missions.definition ->> 'name', flows.definition ->> 'name', workflows.slug)
        AS name, waiting.pieces
FROM (
    SELECT workflow_id, sum(pieces)::bigint AS pieces FROM (
        SELECT 'article' AS kind, site_id AS workflow_id, count(*) AS pieces FROM contents
        WHERE account_id = %(account)s AND status = 'review' GROUP BY 2
        UNION ALL
        SELECT 'post', mission_id, count(*) FROM posts
        WHERE account_id = %(account)s AND status = 'pending_review' GROUP BY 2
        UNION ALL
        SELECT 'gate', items.flow_id, count(*) FROM open_gates AS open
        JOIN gates ON gates.account_id = %(account)s AND gates.id = open.id AND gates.by <> 'time'
        JOIN flow_items AS items ON items.account_id = %(account)s AND items.id = gates.item_id
        WHERE open.account_id = %(account)s GROUP BY 2
        UNION ALL
        SELECT 'publication', workflow_id, count(*) FROM publications
        WHERE account_id = %(account)s AND status IN ('unknown', 'failed') GROUP BY 2
    ) AS of_kind
    WHERE %(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s)
    GROUP BY workflow_id
) AS waiting
JOIN workflows ON workflows.account_id = %(account)s AND workflows.id = waiting.workflow_id
LEFT JOIN sites ON sites.account_id = %(account)s AND sites.id = workflows.id
LEFT JOIN missions ON missions.account_id = %(account)s AND missions.id = workflows.id
LEFT JOIN flows ON flows.account_id = %(account)s AND flows.id = workflows.id
ORDER BY name, workflows.id

-- name: article_cents
-- Returns what providers took for an article, its prompts and its pictures, in cents.
SELECT coalesce(sum(ledger.cents), 0) FROM contents
JOIN ledger ON ledger.account_id = %(account)s AND ledger.workflow_id = contents.site_id
    AND ((ledger.stage = 'content' AND ledger.item = contents.task_id::text)
        OR (ledger.stage = 'image_prompts' AND ledger.item = contents.id::text)
        OR (ledger.stage = 'images' AND ledger.item IN (
            SELECT images.id::text FROM images
            WHERE images.account_id = %(account)s AND images.content_id = contents.id)))
WHERE contents.account_id = %(account)s AND contents.id = %(content)s

-- name: article_rated
-- Keeps what an article's checks give it.
UPDATE contents SET score = %(score)s WHERE account_id = %(account)s AND id = %(content)s

-- name: text_kept
-- Keeps a text that later versions are compared with. One that was generated is kept once, unless somebody has edited it
-- before texts were kept.
INSERT INTO kept_texts (account_id, kind, number, version, title, body, by)
SELECT %(account)s, %(kind)s::text, %(number)s::bigint, %(version)s::text, %(title)s, %(body)s, %(by)s
WHERE %(version)s::text <> 'generated' OR NOT EXISTS (
    SELECT FROM audit_log
    WHERE account_id = %(account)s AND action = %(kind)s::text || '.edit'
        AND target = %(kind)s::text || ':' || %(number)s::bigint)
ON CONFLICT (account_id, kind, number, version) DO UPDATE
SET title = excluded.title, body = excluded.body, by = excluded.by, at = now()
WHERE excluded.version = 'approved'

-- name: texts_kept
-- Returns the kept texts of a piece.
SELECT version, title, body, by, at FROM kept_texts
WHERE account_id = %(account)s AND kind = %(kind)s AND number = %(number)s

-- name: article_sources
-- Returns what an article was written from: its idea, and the keywords of its cluster with what is known of them.
SELECT ideas.title AS idea, ideas.angle, clusters.name AS cluster, (
    SELECT coalesce(jsonb_agg(jsonb_build_object('text', keywords.text, 'volume', keywords.volume,
        'difficulty', keywords.difficulty, 'intent', keywords.intent) ORDER BY keywords.volume DESC NULLS LAST), '[]')
    FROM (SELECT * FROM keywords WHERE keywords.account_id = %(account)s AND keywords.cluster_id = clusters.id
        ORDER BY volume DESC NULLS LAST, id LIMIT 30) AS keywords) AS keywords
FROM contents
JOIN tasks ON tasks.account_id = %(account)s AND tasks.id = contents.task_id
JOIN ideas ON ideas.account_id = %(account)s AND ideas.id = tasks.idea_id
JOIN clusters ON clusters.account_id = %(account)s AND clusters.id = ideas.cluster_id
WHERE contents.account_id = %(account)s AND contents.id = %(content)s

-- name: workflows_named
-- Returns the account's sites, missions and flows by name.
SELECT workflows.id, workflows.kind,
    coalesce(sites.definition ->> 'name', missions.definition ->> 'name', flows.definition ->> 'name', workflows.slug)
        AS name
FROM workflows
LEFT JOIN sites ON sites.account_id = %(account)s AND sites.id = workflows.id
LEFT JOIN missions ON missions.account_id = %(account)s AND missions.id = workflows.id
LEFT JOIN flows ON flows.account_id = %(account)s AND flows.id = workflows.id
WHERE workflows.account_id = %(account)s
ORDER BY name, workflows.id
LIMIT 1000
