-- What fills the tables, in an order that foreign keys permit; large_world.py has the numbers.

-- name: plan
-- Which article is whose: `k` counts within a site. The busy site's come first.
CREATE TEMP TABLE plan AS
SELECT n, site_id, row_number() OVER (PARTITION BY site_id ORDER BY n) - 1 AS k
FROM (
    SELECT n, (%(site)s + CASE WHEN n < %(busy)s THEN 0 ELSE n %% %(sites)s END)::bigint AS site_id
    FROM generate_series(0, %(articles)s - 1) AS n
) AS dealt

-- name: plan_index
CREATE INDEX ON plan (site_id, k)

-- name: clusters
INSERT INTO clusters (account_id, site_id, name, normalized, description, status)
SELECT %(account)s, site_id, 'Cluster ' || k / 3, 'cluster ' || k / 3, 'What people ask about it',
    CASE WHEN k %% 30 = 0 THEN 'new' ELSE 'planned' END
FROM plan WHERE k %% 3 = 0 ORDER BY n

-- name: keywords
INSERT INTO keywords (account_id, site_id, text, normalized, volume, difficulty, intent, status, cluster_id)
SELECT %(account)s, site_id, name || ' keyword ' || part, normalized || ' keyword ' || part, part * 100, part * 10,
    'informational', CASE WHEN part = 5 THEN 'new' ELSE 'clustered' END, CASE WHEN part < 5 THEN id END
FROM clusters, generate_series(1, 5) AS part WHERE account_id = %(account)s ORDER BY id, part

-- name: ideas
INSERT INTO ideas (
    account_id, site_id, cluster_id, title, normalized, angle, type, target_keywords, outline, status)
SELECT %(account)s, plan.site_id, clusters.id, 'Idea ' || k || kind, 'idea ' || k || kind, 'For beginners', 'guide',
    ARRAY['one', 'two'], ARRAY['First', 'Second', 'Third'], kinds.status
FROM plan
JOIN clusters ON clusters.site_id = plan.site_id AND clusters.normalized = 'cluster ' || k / 3
CROSS JOIN (VALUES ('', 'queued'), (' for later', 'new')) AS kinds (kind, status)
WHERE kinds.status = 'queued' OR k %% 10 = 0
ORDER BY n, kinds.status

-- name: tasks
INSERT INTO tasks (account_id, site_id, idea_id, status)
SELECT account_id, site_id, id, 'completed' FROM ideas
WHERE account_id = %(account)s AND status = 'queued' ORDER BY id

-- name: contents
INSERT INTO contents (
    account_id, site_id, task_id, title, slug, meta_description, html, excerpt, tags, word_count, status, model,
    created_at, updated_at, content_hash, approved_hash, approved_by, approved_at, published_at, score)
SELECT account_id, site_id, id, 'Article ' || id, 'article-' || id, 'What the article says, in a line',
    (SELECT html FROM bodies WHERE bodies.id = tasks.id %% 64), 'How the article begins', ARRAY['one', 'two'], 1000,
    facts.status, 'gpt-9', at, at, md5(id::text), CASE WHEN approved THEN md5(id::text) END,
    CASE WHEN approved THEN 'user:bea' END, CASE WHEN approved THEN at END,
    CASE WHEN facts.status = 'published' THEN at END, 60 + id %% 41
FROM tasks, LATERAL (
    SELECT CASE WHEN part < 6 THEN 'published' WHEN part < 8 THEN 'approved' WHEN part < 10 THEN 'review'
            WHEN part = 10 THEN 'draft' ELSE 'rejected' END AS status,
        part < 8 AS approved,
        now() - interval '180 days' * (1 - tasks.id::float / (%(articles)s * 1.1)) AS at
    FROM (SELECT tasks.id %% 12 AS part) AS parts
) AS facts
WHERE account_id = %(account)s ORDER BY id

-- name: images
INSERT INTO images (
    account_id, site_id, content_id, role, position, prompt, alt, status, media_url, media_type, width, height, model)
SELECT account_id, site_id, id, CASE position WHEN 0 THEN 'featured' ELSE 'in_article' END, position,
    'A cup on a table, morning light', 'A cup', CASE WHEN waits THEN 'pending' ELSE 'generated' END,
    CASE WHEN NOT waits THEN %(picture)s END,
    CASE WHEN NOT waits THEN 'image/png' END, 1200, 672, 'card'
FROM contents, generate_series(0, 1) AS position,
    LATERAL (SELECT contents.status = 'draft' AND position = 1 AS waits) AS state
WHERE account_id = %(account)s ORDER BY id, position

-- name: flow_runs
INSERT INTO runs (
    account_id, workflow_id, dag_id, dag_run_id, trigger, owner, status, lease_until, current_stage, started_at,
    opened_at, completed_at, exclusive)
SELECT %(account)s, id, 'flow__' || slug, 'manual__' || turn, 'manual', 'bea', 'completed', now(), 'site', at, at,
    at + interval '10 minutes', false
FROM flows, generate_series(1, 20) AS turn,
    LATERAL (SELECT now() - (21 - turn) * interval '1 day' AS at) AS times
WHERE account_id = %(account)s ORDER BY turn, id

-- name: mission_runs
INSERT INTO runs (
    account_id, workflow_id, dag_id, dag_run_id, trigger, owner, status, lease_until, current_stage, started_at,
    opened_at, completed_at)
SELECT %(account)s, id, 'mission__' || slug, 'manual__' || turn, 'manual', 'bea', 'completed', now(), 'optimize',
    at, at, at + interval '1 hour'
FROM missions, generate_series(1, 10) AS turn,
    LATERAL (SELECT now() - (11 - turn) * interval '7 days' AS at) AS times
WHERE account_id = %(account)s ORDER BY turn, id

-- name: runs
-- Four of each site, many more of the busy one. One site in ten is at work.
INSERT INTO runs (
    account_id, workflow_id, dag_id, dag_run_id, trigger, owner, status, lease_until, current_stage,
    estimated_credits, started_at, opened_at, completed_at)
SELECT %(account)s, id, 'site__' || slug, 'scheduled__' || turn, 'scheduled', 'schedule',
    CASE WHEN live THEN 'running' WHEN turn %% 10 = 2 THEN 'failed' WHEN turn %% 10 = 1 THEN 'partial'
        ELSE 'completed' END,
    now() + interval '1 day', CASE WHEN live THEN 'content' ELSE 'review' END, 500, at, at,
    CASE WHEN NOT live THEN at + interval '40 minutes' END
FROM (
    SELECT id, slug, turn, turn = last AND (id - %(site)s) %% 10 = 0 AS live,
        now() - interval '180 days' * (1 - (turn::float + 0.5) / (last + 1)) AS at
    FROM sites,
        LATERAL (SELECT CASE WHEN id = %(site)s THEN %(busy_runs)s ELSE 4 END - 1 AS last) AS turns,
        generate_series(0, last) AS turn
    WHERE account_id = %(account)s
) AS made
ORDER BY at, id

-- name: stage_results
INSERT INTO stage_results (
    account_id, run_id, stage, processed, created, words, batches, planned, credits, started_at, completed_at)
SELECT %(account)s, runs.id, stage, 20, 20, 20000, 3, 20, 100, started_at + position * interval '5 minutes',
    CASE WHEN runs.status <> 'running' OR position < 4 THEN started_at + position * interval '6 minutes' END
FROM runs JOIN sites ON sites.id = runs.workflow_id,
    unnest(ARRAY['clusters', 'ideas', 'tasks', 'content', 'image_prompts', 'images', 'review'])
        WITH ORDINALITY AS stages (stage, position)
WHERE runs.account_id = %(account)s AND (runs.status <> 'running' OR position < 5)

-- name: turns
-- Events, entries and calls are dealt out to the runs. The busy site's last run, which is the latest of all, gets
-- one in a hundred more.
CREATE TEMP TABLE turns AS
SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS all_of_them, workflow_id, started_at
FROM runs WHERE account_id = %(account)s

-- name: turns_index
CREATE UNIQUE INDEX ON turns (place)

-- name: dealt
CREATE TEMP TABLE dealt AS
SELECT n, turns.id AS run_id, turns.workflow_id, turns.started_at + n %% 10000 * interval '100 ms' AS at
FROM (SELECT max(all_of_them) AS number FROM turns) AS counted
CROSS JOIN generate_series(0, %(events)s - 1) AS n
JOIN turns ON turns.place = CASE WHEN n %% 100 = 0 THEN counted.number - 1 ELSE n %% counted.number END

-- name: run_events
INSERT INTO run_events (account_id, run_id, id, stage, kind, level, message, data, at)
SELECT %(account)s, run_id, row_number() OVER (PARTITION BY run_id ORDER BY at, n),
    (ARRAY['clusters', 'ideas', 'content', 'images'])[1 + n %% 4],
    CASE n %% 20 WHEN 0 THEN 'stage_started' WHEN 1 THEN 'batch_done' WHEN 2 THEN 'item_failed' ELSE 'item_done' END,
    CASE n %% 20 WHEN 2 THEN 'warning' ELSE 'info' END, 'article ' || n || ': written in 4.2 s, 1000 words',
    jsonb_build_object('item', 'article:' || n, 'waiting', 0, 'seconds', 4.2), at
FROM dealt ORDER BY at, n

-- name: last_events
UPDATE runs SET last_event = found.last
FROM (SELECT run_id, max(id) AS last FROM run_events GROUP BY run_id) AS found WHERE found.run_id = runs.id

-- name: ledger
INSERT INTO ledger (account_id, kind, credits, cents, workflow_id, run_id, stage, item, entry_key, at)
SELECT %(account)s, kind, credits, cents, workflow_id, run_id,
    (ARRAY['clusters', 'ideas', 'content', 'images'])[1 + n %% 4], 'article:' || n, kind || ':' || n, at
FROM dealt, (VALUES ('charge', -1, 0), ('cost', 0, 0.25)) AS kinds (kind, credits, cents)
WHERE n < %(entries)s / 2 ORDER BY at, n, kind

-- name: ai_calls
INSERT INTO ai_calls (
    account_id, run_id, workflow_id, stage, item, connection, model, kind, outcome, prompt_tokens,
    completion_tokens, cents, milliseconds, at)
SELECT %(account)s, run_id, workflow_id, (ARRAY['clusters', 'ideas', 'content', 'image_prompts'])[1 + n %% 4],
    'article:' || n, 'pressroom_text', (ARRAY['gpt-9', 'gpt-9-mini', 'local-1b'])[1 + n %% 3], 'text',
    CASE WHEN n %% 20 = 0 THEN 'cached' ELSE 'ok' END, 900, 1400, 0.25, 4200, at
FROM dealt WHERE n < %(calls)s ORDER BY at, n

-- name: ledger_days
-- As the triggers, which are off meanwhile, would have summed up.
INSERT INTO ledger_days (account_id, by, day, key, credits, cents)
SELECT account_id, sums.by, sums.day, sums.key, -sum(credits), sum(cents)
FROM ledger CROSS JOIN usage_sums(stage, workflow_id, at) AS sums
WHERE account_id = %(account)s AND kind IN ('charge', 'cost')
GROUP BY 1, 2, 3, 4

-- name: ai_call_days
INSERT INTO ai_call_days (account_id, by, day, key, calls, prompt_tokens, completion_tokens, cents)
SELECT account_id, sums.by, sums.day, sums.key, count(*), sum(prompt_tokens),
    sum(completion_tokens), sum(cents)
FROM ai_calls CROSS JOIN LATERAL (
    SELECT * FROM usage_sums(stage, workflow_id, at)
    UNION ALL SELECT 'model', (at AT TIME ZONE 'UTC')::date, model) AS sums
WHERE account_id = %(account)s AND outcome <> 'cached'
GROUP BY 1, 2, 3, 4

-- name: item_failures
INSERT INTO item_failures (account_id, workflow_id, stage, item, error_class, error, run_id)
SELECT %(account)s, workflow_id, 'content', 'task:' || part, 'PermanentError', 'the model refuses', max(id)
FROM runs, generate_series(1, 5) AS part WHERE account_id = %(account)s GROUP BY workflow_id, part

-- name: cycles
INSERT INTO cycles (
    account_id, mission_id, run_id, number, starts_at, ends_at, closes_at, context, strategy, parameters,
    measured_at, optimized_at)
SELECT %(account)s, missions.id, runs.id, row_number() OVER (PARTITION BY missions.id ORDER BY runs.id),
    runs.started_at, runs.started_at + interval '7 days', runs.started_at + interval '8 days', '{}',
    '{"content_pillars": [{"name": "Better brewing", "weight": 1}], "content_mix": {"single": 1},
        "tone_guidelines": ["Warm"]}', '{}', runs.completed_at, runs.completed_at
FROM missions JOIN runs ON runs.workflow_id = missions.id
WHERE missions.account_id = %(account)s ORDER BY runs.id

-- name: mission_results
INSERT INTO stage_results (
    account_id, run_id, stage, processed, created, batches, planned, credits, started_at, completed_at)
SELECT %(account)s, runs.id, stage, 50, 50, 1, 50, 50, runs.started_at, runs.started_at + interval '6 minutes'
FROM missions JOIN runs ON runs.workflow_id = missions.id,
    unnest(ARRAY['intake', 'strategy', 'content', 'publish', 'analytics', 'optimize']) AS stage
WHERE missions.account_id = %(account)s

-- name: slots
INSERT INTO slots (account_id, mission_id, cycle_id, at, platform, choices, topic, status)
SELECT %(account)s, mission_id, id, starts_at + turn * interval '5 minutes',
    CASE turn %% 2 WHEN 0 THEN 'twitter' ELSE 'linkedin' END,
    '{"format": "single", "time": "08:00", "pillar": "Better brewing"}', 'Topic ' || turn, 'written'
FROM cycles, generate_series(1, greatest(1, %(posts)s / (10 * %(missions)s))) AS turn
WHERE account_id = %(account)s ORDER BY id, turn

-- name: posts
INSERT INTO posts (
    account_id, mission_id, cycle_id, slot_id, platform, format, headline, body, parts, hashtags, media_url,
    media_type, confidence, model, status, content_hash, approved_hash, approved_by, created_at, updated_at)
SELECT account_id, mission_id, cycle_id, id, platform, 'single', 'Headline ' || id, 'Body of post ' || id,
    ARRAY['Text of post ' || id], ARRAY['coffee'], %(picture)s, 'image/png', 0.84, 'gpt-9', facts.status, md5(id::text),
    CASE WHEN part < 5 THEN md5(id::text) END, CASE WHEN part < 5 THEN 'user:bea' END, at, at
FROM slots, LATERAL (
    SELECT part, CASE WHEN part < 3 THEN 'published' WHEN part = 3 THEN 'scheduled' WHEN part = 4 THEN 'approved'
        WHEN part = 5 THEN 'pending_review' WHEN part = 6 THEN 'draft' ELSE 'rejected' END AS status
    FROM (SELECT slots.id %% 8 AS part) AS parts
) AS facts
WHERE account_id = %(account)s ORDER BY id

-- name: post_publications
INSERT INTO publications (
    account_id, workflow_id, run_id, content, target, status, content_hash, scheduled_for, external_id, public_url,
    attempts, attempted_at, accepted_at, confirmed_at, created_at)
SELECT posts.account_id, posts.mission_id, cycles.run_id, 'post:' || posts.id, 'pressroom_metricool/' || platform,
    made.status, content_hash, at, CASE WHEN made.status <> 'failed' THEN 'post-' || posts.id END,
    'https://social.example/' || posts.id, 1, at, at, at, at
FROM posts JOIN cycles ON cycles.id = posts.cycle_id, LATERAL (
    SELECT posts.created_at AS at, CASE WHEN posts.id %% 100 = 0 THEN 'failed'
        WHEN posts.status = 'published' THEN 'confirmed' ELSE 'accepted' END AS status
) AS made
WHERE posts.account_id = %(account)s AND posts.status IN ('scheduled', 'published') ORDER BY posts.id

-- name: article_publications
INSERT INTO publications (
    account_id, workflow_id, run_id, content, target, status, content_hash, scheduled_for, external_id, public_url,
    attempts, error, attempted_at, accepted_at, confirmed_at, created_at)
SELECT contents.account_id, contents.site_id, latest.id, 'article:' || contents.id,
    'pressroom_wordpress/wordpress', made.status, content_hash, at,
    CASE WHEN made.status = 'confirmed' THEN 'article-' || contents.id END,
    'https://blog.example/' || contents.id, 1,
    CASE WHEN made.status = 'failed' THEN 'the site answers 500' ELSE '' END, at, at, at, at
FROM contents
JOIN (SELECT workflow_id, max(id) AS id FROM runs GROUP BY workflow_id) AS latest
    ON latest.workflow_id = contents.site_id,
    LATERAL (
        SELECT published_at AS at, CASE contents.id %% 1000 WHEN 0 THEN 'unknown' WHEN 5 THEN 'failed'
            ELSE 'confirmed' END AS status
    ) AS made
WHERE contents.account_id = %(account)s AND contents.status = 'published' ORDER BY contents.id

-- name: post_metrics
INSERT INTO post_metrics (
    account_id, mission_id, post_id, platform, hour, published_at, impressions, engagements, link_clicks,
    new_followers)
SELECT account_id, mission_id, id, platform, created_at + turn * interval '1 hour', created_at, 1000 * turn,
    40 * turn, 3, 1
FROM posts, generate_series(1, 3) AS turn WHERE account_id = %(account)s AND status = 'published'

-- name: snapshots
INSERT INTO snapshots (account_id, cycle_id, at, status, output)
SELECT account_id, id, starts_at + turn * interval '1 day', 'completed', '{}'
FROM cycles, generate_series(1, 7) AS turn WHERE account_id = %(account)s

-- name: insights
INSERT INTO insights (
    account_id, mission_id, cycle_id, type, platform, factor, level, finding, confidence, action, evidence)
SELECT account_id, mission_id, id, 'timing', 'twitter', 'time', turn || ':00', 'Posts at ' || turn || ' do better',
    0.97, 'shift_schedule', '{"ratio": 1.4, "low": 1.2, "high": 1.7, "posts": 80, "method": "OLS"}'
FROM cycles, generate_series(10, 14) AS turn WHERE account_id = %(account)s ORDER BY id, turn

-- name: strategy_changes
INSERT INTO strategy_changes (account_id, mission_id, cycle_id, platform, factor, before, after, evidence)
SELECT account_id, mission_id, id, 'twitter', 'time', '{"08:00": 1.0}', '{"08:00": 1.2}', '{"posts": 80}'
FROM cycles WHERE account_id = %(account)s ORDER BY id

-- name: optimizations
INSERT INTO optimizations (cycle_id, account_id, output)
SELECT id, account_id, '{"findings": 5}' FROM cycles WHERE account_id = %(account)s

-- name: flow_results
INSERT INTO stage_results (
    account_id, run_id, stage, processed, created, batches, planned, started_at, completed_at)
SELECT %(account)s, runs.id, stage, 20, 20, 1, 20, runs.started_at, runs.started_at + interval '1 minute'
FROM flows JOIN runs ON runs.workflow_id = flows.id, unnest(ARRAY['read', 'write', 'site']) AS stage
WHERE flows.account_id = %(account)s

-- name: flow_items
-- Each flow has a few that wait at a gate.
INSERT INTO flow_items (account_id, flow_id, run_id, feed, source_id, position, source, step, status, ended_at)
SELECT %(account)s, flows.id, runs.id, '', 'entry-' || turn, turn,
    '{"title": "Entry", "url": "https://feeds.example/entry"}', 2, CASE WHEN waits THEN 'active' ELSE 'done' END,
    CASE WHEN NOT waits THEN runs.completed_at END
FROM flows JOIN runs ON runs.workflow_id = flows.id, generate_series(1, 20) AS turn,
    LATERAL (SELECT runs.dag_run_id = 'manual__20' AND turn > 15 AS waits) AS state
WHERE flows.account_id = %(account)s ORDER BY runs.id, turn

-- name: gates
INSERT INTO gates (
    account_id, item_id, step, by, subject, token_hash, task, due_at, on_timeout, outcome, answered_by, answered_at)
SELECT account_id, id, 'look', 'webhook', 'Shall it be told?', md5(id::text), '{}', now() + interval '1 day',
    'reject', CASE WHEN status = 'done' THEN 'approve' END, CASE WHEN status = 'done' THEN 'bea' END, ended_at
FROM flow_items WHERE account_id = %(account)s ORDER BY id

-- name: packets
INSERT INTO packets (account_id, item_id, id, step, kind, data)
SELECT account_id, id, turn, 'write', 'output', '{"title": "Title", "body": "Body"}'
FROM flow_items, generate_series(1, 3) AS turn WHERE account_id = %(account)s ORDER BY id, turn

-- name: api_keys
INSERT INTO api_keys (account_id, name, role, prefix, key_hash, created_by)
SELECT %(account)s, 'Key ' || n, 'viewer', 'prk_' || n, md5(n::text), 'user:bea' FROM generate_series(1, 300) AS n

-- name: audit_log
INSERT INTO audit_log (account_id, at, actor, action, target, details)
SELECT %(account)s, now() - (%(audit)s - n) * interval '1 minute', 'user:' || n %% 20,
    (ARRAY['article.approve', 'article.edit', 'site.update', 'run.pause'])[1 + n %% 4], 'article:' || n, '{}'
FROM generate_series(1, %(audit)s) AS n
