-- A source's own id is unique only within its source. So what a flow has taken up, and what was published of it, is told
-- apart by the feed that it came from (`Flow.feed_name`). What is there gets the feed that its run read.
ALTER TABLE flow_items ADD COLUMN feed text;
ALTER TABLE flow_claims ADD COLUMN feed text;

CREATE TEMPORARY TABLE feeds_read ON COMMIT DROP AS
SELECT runs.id AS run_id, CASE
    WHEN first.step ->> 'type' IS DISTINCT FROM 'fetch' THEN 'trigger ' || flows.slug
    WHEN source.type = 'web' THEN 'web'
    WHEN source.type = 'files' THEN concat_ws(' ', 'files', source.facts ->> 'connection', source.facts ->> 'path')
    ELSE concat_ws(' ', source.type,
        rtrim(lower(substring(address.rest FROM '^[^/?]*')) || coalesce(substring(address.rest FROM '[/?].*$'), ''), '/'),
        CASE WHEN source.type = 'json' THEN nullif(source.facts ->> 'items', '') END)
    END AS feed
FROM runs
JOIN flows ON flows.account_id = runs.account_id AND flows.id = runs.workflow_id
CROSS JOIN LATERAL (
    SELECT coalesce(runs.definition -> 'workflow' -> 'steps', flows.definition -> 'steps') -> 0 AS step) AS first
CROSS JOIN LATERAL (
    SELECT first.step -> 'source' AS facts, first.step -> 'source' ->> 'type' AS type) AS source
CROSS JOIN LATERAL (
    SELECT regexp_replace(regexp_replace(source.facts ->> 'url', '^https?://(www\.)?', '', 'i'), '#.*$', '') AS rest
    ) AS address;

-- A long one is named by its hash: it is a part of keys, which have a bound.
UPDATE feeds_read SET feed = 'sha256:' || encode(sha256(convert_to(feed, 'UTF8')), 'hex') WHERE octet_length(feed) > 600;

UPDATE flow_items SET feed = coalesce(feeds_read.feed, '') FROM feeds_read WHERE feeds_read.run_id = flow_items.run_id;
UPDATE flow_claims SET feed = flow_items.feed FROM flow_items WHERE flow_items.id = flow_claims.item_id;
ALTER TABLE flow_items ALTER COLUMN feed SET NOT NULL;
ALTER TABLE flow_claims ALTER COLUMN feed SET NOT NULL;
ALTER TABLE flow_claims DROP CONSTRAINT flow_claims_pkey;
ALTER TABLE flow_claims ADD PRIMARY KEY (flow_id, feed, source_id);
-- What was there when a flow began is claimed for no item.
ALTER TABLE flow_claims ALTER COLUMN item_id DROP NOT NULL;
CREATE INDEX flow_claims_item ON flow_claims (item_id) WHERE item_id IS NOT NULL;

-- An item that failed for a reason of its own. The third time its claim stays.
ALTER TABLE flow_items ADD COLUMN refused boolean NOT NULL DEFAULT false;
CREATE INDEX flow_items_refused ON flow_items (flow_id, feed, source_id) WHERE refused;

-- The feeds that a flow has read. `old_before`: what the source dates before that was there when the flow began; null
-- when that does not matter.
CREATE TABLE flow_feeds (
    account_id bigint NOT NULL,
    flow_id    bigint NOT NULL,
    feed       text NOT NULL,
    old_before timestamptz,
    began_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (flow_id, feed),
    FOREIGN KEY (account_id, flow_id) REFERENCES flows (account_id, id) ON DELETE CASCADE
);
INSERT INTO flow_feeds (account_id, flow_id, feed, began_at)
SELECT account_id, flow_id, feed, min(created_at) FROM flow_items GROUP BY account_id, flow_id, feed;

-- The ledger's names of what flows published: of the feed, the id, and the place within the target.
CREATE TEMPORARY TABLE hashed_items ON COMMIT DROP AS
SELECT id, account_id, flow_id, run_id, feed, source_id,
    left(encode(sha256(convert_to(source_id, 'UTF8')), 'hex'), 32) AS hash
FROM flow_items;
CREATE INDEX ON hashed_items (flow_id, hash);
ANALYZE hashed_items;

WITH named AS (
    SELECT publications.id, substring(publications.content FROM 40) AS turn, concat_ws(E'\x1f',
        nullif(item.feed, ''), item.source_id, nullif(concat_ws(' ',
            CASE WHEN publications.target LIKE '%/metricool'
                THEN nullif(publications.sent -> 'arguments' ->> 'network', '') END,
            CASE WHEN publications.target LIKE '%/metricool' OR publications.target LIKE '%/pinterest'
                THEN nullif(publications.sent -> 'arguments' ->> 'board', '') END), '')) AS told
    FROM publications
    CROSS JOIN LATERAL (
        SELECT items.feed, items.source_id FROM hashed_items AS items
        WHERE items.account_id = publications.account_id AND items.flow_id = publications.workflow_id
            AND items.hash = substring(publications.content FROM 8 FOR 32)
        ORDER BY items.run_id = publications.run_id DESC, items.id DESC LIMIT 1) AS item
    WHERE publications.content LIKE 'source:%'
)
UPDATE publications
SET content = 'source:' || left(encode(sha256(convert_to(named.told, 'UTF8')), 'hex'), 32) || named.turn
FROM named WHERE named.id = publications.id;
