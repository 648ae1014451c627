-- What accounts may name of the installation's: connections, private hosts, folders, assets. Without an account: every
-- account may.
CREATE TABLE grants (
    account_id bigint REFERENCES accounts ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('everything', 'connection', 'host', 'file_root', 'asset')),
    name       text NOT NULL CHECK ((kind = 'everything') = (name = '')),
    granted_by text NOT NULL,
    granted_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX grants_once ON grants (coalesce(account_id, 0), kind, name);

-- Where there are several accounts, each is granted what its definitions and its live runs name, and the connections to
-- models that answered it, fallbacks among them. An only account needs no grants.
INSERT INTO grants (account_id, kind, name, granted_by)
WITH workflow AS (
    SELECT account_id, 'site' AS kind, definition FROM sites
    UNION ALL SELECT account_id, 'mission', definition FROM missions
    UNION ALL SELECT account_id, 'flow', definition FROM flows
    UNION ALL SELECT runs.account_id, workflows.kind, runs.definition -> 'workflow'
    FROM runs JOIN workflows ON workflows.id = runs.workflow_id
    WHERE runs.definition IS NOT NULL AND runs.status IN ('running', 'paused')
), publishes AS (
    SELECT account_id, target FROM workflow,
        jsonb_array_elements(coalesce(definition #> '{publish,targets}', '[]')) AS target
    WHERE kind = 'site'
    UNION ALL
    SELECT account_id, step FROM workflow, jsonb_array_elements(coalesce(definition -> 'steps', '[]')) AS step
    WHERE kind = 'flow' AND step ->> 'type' = 'publish'
), step AS (
    SELECT account_id, step FROM workflow, jsonb_array_elements(coalesce(definition -> 'steps', '[]')) AS step
    WHERE kind = 'flow'
), named (account_id, kind, name) AS (
    SELECT account_id, 'connection', coalesce(definition #>> '{text,connection}', 'pressroom_text') FROM workflow
    UNION SELECT account_id, 'connection', coalesce(definition #>> '{images,connection}', 'pressroom_images')
    FROM workflow WHERE definition #>> '{images,provider}' <> 'card'
    UNION SELECT account_id, 'connection', coalesce(definition #>> '{embeddings,connection}', 'pressroom_embeddings')
    FROM workflow WHERE definition #>> '{embeddings,provider}' <> 'local'
    UNION SELECT account_id, 'connection', coalesce(definition ->> 'connection', 'pressroom_metricool')
    FROM workflow WHERE kind = 'mission'
    UNION SELECT account_id, 'connection', coalesce(target ->> 'connection', 'pressroom_' || (target ->> 'to'))
    FROM publishes
    UNION SELECT account_id, 'connection', step ->> 'connection' FROM step
    UNION SELECT account_id, 'connection', step ->> 'notify' FROM step
    UNION SELECT account_id, 'connection', step #>> '{source,connection}' FROM step
    UNION SELECT account_id, 'connection', substring(step #>> '{source,path}' FROM '^[^:/]+://([^/@]+)@') FROM step
    UNION SELECT account_id, 'connection', definition #>> '{trigger,webhook}' FROM workflow
    UNION SELECT account_id, 'connection', nullif(connection, '') FROM ai_calls
    UNION SELECT account_id, 'connection', regexp_replace(target, '/[^/]*$', '') FROM publications
    UNION SELECT account_id, 'file_root', step #>> '{source,path}' FROM step
    UNION SELECT account_id, 'asset', definition #>> '{trigger,asset}' FROM workflow
    UNION SELECT account_id, 'host', host
    FROM workflow, jsonb_array_elements_text(coalesce(definition -> 'allow_hosts', '[]')) AS host
)
SELECT account_id, kind, name, 'the migration' FROM named
WHERE name <> '' AND name <> 'pressroom_db' AND (SELECT count(*) FROM accounts) > 1;

-- Whether a person has named the external id: then the target itself has to say that the piece is there under it, before it
-- is taken back.
ALTER TABLE publications ADD COLUMN by_hand boolean NOT NULL DEFAULT false;
UPDATE publications SET by_hand = true
FROM audit_log AS audit
WHERE audit.account_id = publications.account_id AND audit.action = 'publication.settle'
    AND audit.target IN ('publication:' || publications.id, 'pub_' || publications.id)
    AND (audit.details ->> 'sent')::boolean AND publications.status = 'accepted';
CREATE INDEX publications_external_id ON publications (external_id) WHERE external_id IS NOT NULL;
