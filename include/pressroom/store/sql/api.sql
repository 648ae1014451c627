-- API keys, the audit log, and the answers kept for repeated calls.

-- name: api_key_insert
-- Inserts an API key. Returns its id.
INSERT INTO api_keys (account_id, name, role, prefix, key_hash, created_by, member, expires_at)
VALUES (%(account)s, %(label)s, %(role)s, %(prefix)s, %(key_hash)s, %(by)s, %(member)s, %(expires_at)s)
RETURNING id

-- name: api_keys
-- Returns a page of API keys, newest first, or the one with id `key`.
SELECT id, name, role, prefix, created_by, created_at, expires_at, last_used_at, revoked_at, revoked_by
FROM api_keys
WHERE account_id = %(account)s AND (%(key)s::bigint IS NULL OR id = %(key)s)
    AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC
LIMIT %(limit)s

-- name: api_key_revoke
-- Revokes an API key. No row when it is revoked already.
UPDATE api_keys SET revoked_at = now(), revoked_by = %(by)s
WHERE account_id = %(account)s AND id = %(key)s AND revoked_at IS NULL

-- name: is_member
-- Returns whether a user is a member of the account.
SELECT EXISTS (SELECT FROM members WHERE account_id = %(account)s AND username = %(username)s)

-- name: api_keys_of_removed
-- Revokes the API keys whose maker is no member any more.
UPDATE api_keys SET revoked_at = now(), revoked_by = %(by)s
WHERE account_id = %(account)s AND revoked_at IS NULL AND member IS NOT NULL AND NOT EXISTS (
    SELECT FROM members WHERE members.account_id = %(account)s AND members.username = api_keys.member)

-- name: audit_insert
-- Inserts an entry of the audit log.
INSERT INTO audit_log (account_id, actor, action, target, details)
VALUES (%(account)s, %(actor)s, %(action)s, %(target)s, %(details)s::jsonb)

-- name: audit_list
-- Returns a page of the audit log, newest first. Null filters match everything.
SELECT id, at, actor, action, target, details FROM audit_log
WHERE account_id = %(account)s AND (%(before)s::bigint IS NULL OR id < %(before)s)
    AND (%(actor)s::text IS NULL OR actor = %(actor)s)
    AND (%(action)s::text IS NULL OR action = %(action)s)
    AND (%(target)s::text IS NULL OR target = %(target)s)
ORDER BY id DESC
LIMIT %(limit)s

-- name: last_definition_change
-- Returns who changed a definition last, and when. `targets`: what the audit log calls it.
SELECT actor, at FROM audit_log
WHERE account_id = %(account)s AND target = ANY(%(targets)s::text[]) AND details ? 'after'
    AND action ~ '^(site|mission|flow|brand)[.]'
ORDER BY id DESC
LIMIT 1

-- name: idempotency_begin
-- Reserves an idempotency key for a call. Returns true when the caller may go on, no row when the key is in use. A
-- reservation without an answer expires after `stale`: its worker has died.
INSERT INTO idempotency_keys AS kept (account_id, caller, key, fingerprint)
VALUES (%(account)s, %(caller)s, %(key)s, %(fingerprint)s)
ON CONFLICT (account_id, caller, key) DO UPDATE SET at = now()
WHERE kept.status IS NULL AND kept.fingerprint = excluded.fingerprint AND kept.at < now() - %(stale)s::interval
RETURNING true

-- name: idempotency_found
-- Returns what is stored under an idempotency key. `status` is null while the first call is at work.
SELECT fingerprint, status, body FROM idempotency_keys
WHERE account_id = %(account)s AND caller = %(caller)s AND key = %(key)s

-- name: idempotency_answer
-- Stores the answer of a call under its idempotency key.
UPDATE idempotency_keys SET status = %(status)s, body = %(body)s::jsonb
WHERE account_id = %(account)s AND caller = %(caller)s AND key = %(key)s

-- name: idempotency_drop
-- Deletes one idempotency key, so that the call can be repeated.
DELETE FROM idempotency_keys WHERE account_id = %(account)s AND caller = %(caller)s AND key = %(key)s

-- name: idempotency_forget
-- Deletes the account's idempotency keys older than `kept`.
DELETE FROM idempotency_keys WHERE account_id = %(account)s AND at < now() - %(kept)s::interval

-- name: audit_state
-- Returns what people decide on one row, as JSON; no row when it does not exist. `kind` selects one branch of the union.
-- Of a workflow: its live run, and what waits.
SELECT state FROM (
    SELECT jsonb_build_object('status', status, 'cancel_requested', cancel_requested, 'cancel_now', cancel_now,
        'rollback_requested_by', rollback_requested_by) AS state
    FROM runs WHERE %(kind)s = 'job' AND account_id = %(account)s AND id = %(id)s
    UNION ALL SELECT jsonb_build_object('job', runs.id, 'status', runs.status, 'cancel_requested', runs.cancel_requested,
        'cancel_now', runs.cancel_now,
        'failed_items', (SELECT count(*) FROM item_failures AS failures
            WHERE failures.account_id = %(account)s AND failures.workflow_id = workflows.id),
        'keywords', (SELECT count(*) FROM keywords
            WHERE keywords.account_id = %(account)s AND keywords.site_id = workflows.id))
    FROM workflows
    LEFT JOIN LATERAL (
        SELECT * FROM runs
        WHERE runs.account_id = %(account)s AND runs.workflow_id = workflows.id AND runs.status IN ('running', 'paused')
        ORDER BY runs.id DESC LIMIT 1) AS runs ON true
    WHERE %(kind)s = 'workflow' AND workflows.account_id = %(account)s AND workflows.id = %(id)s
    UNION ALL SELECT jsonb_build_object('keywords', (
        SELECT count(*) FROM keywords WHERE keywords.account_id = %(account)s AND keywords.site_id = sites.id))
    FROM sites WHERE %(kind)s = 'site' AND account_id = %(account)s AND id = %(id)s
    UNION ALL SELECT jsonb_build_object('status', status, 'external_id', external_id, 'scheduled_for', scheduled_for)
    FROM publications WHERE %(kind)s = 'publication' AND account_id = %(account)s AND id = %(id)s
    UNION ALL SELECT to_jsonb(keywords) - ARRAY['account_id', 'normalized', 'created_at']
    FROM keywords WHERE %(kind)s = 'keyword' AND account_id = %(account)s AND id = %(id)s
    UNION ALL SELECT to_jsonb(clusters) - ARRAY['account_id', 'normalized', 'created_at']
    FROM clusters WHERE %(kind)s = 'cluster' AND account_id = %(account)s AND id = %(id)s
    UNION ALL SELECT to_jsonb(ideas) - ARRAY['account_id', 'normalized', 'created_at']
    FROM ideas WHERE %(kind)s = 'idea' AND account_id = %(account)s AND id = %(id)s
    UNION ALL SELECT jsonb_build_object('name', name, 'role', role, 'expires_at', expires_at,
        'revoked', revoked_at IS NOT NULL)
    FROM api_keys WHERE %(kind)s = 'key' AND account_id = %(account)s AND id = %(id)s
    UNION ALL SELECT jsonb_build_object('opens', opens, 'of', kind || ':' || number, 'role', role,
        'recipient', recipient, 'expires_at', expires_at, 'revoked', revoked_at IS NOT NULL)
    FROM links WHERE %(kind)s = 'link' AND account_id = %(account)s AND id = %(id)s
    UNION ALL SELECT definition
    FROM brand_contexts WHERE %(kind)s = 'brand' AND account_id = %(account)s AND id = %(id)s
    UNION ALL SELECT jsonb_build_object('reverted_by', changes.reverted_by)
    FROM insights
    LEFT JOIN strategy_changes AS changes ON changes.account_id = insights.account_id
        AND changes.cycle_id = insights.cycle_id AND changes.platform = insights.platform
        AND changes.factor = insights.factor
    WHERE %(kind)s = 'insight' AND insights.account_id = %(account)s AND insights.id = %(id)s
    UNION ALL SELECT jsonb_build_object('reverted_by', reverted_by)
    FROM strategy_changes WHERE %(kind)s = 'change' AND account_id = %(account)s AND id = %(id)s
    UNION ALL SELECT jsonb_build_object('status', status, 'title', title, 'content_hash', content_hash)
    FROM contents WHERE %(kind)s = 'article' AND account_id = %(account)s AND id = %(id)s
    UNION ALL SELECT jsonb_build_object('status', status, 'content_hash', content_hash)
    FROM posts WHERE %(kind)s = 'post' AND account_id = %(account)s AND id = %(id)s
) AS kept
