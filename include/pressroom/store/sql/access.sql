-- Statements that find out who calls and which account owns a row, before an account is known. They read nothing else.

-- name: owner_of
-- Returns the account, the workflow and the caller's role for one row of any kind; no row when it does not exist.
-- `kind` selects one branch of the union; the others are not read.
SELECT t.account_id, t.workflow_id, workflows.kind AS workflow_kind, accounts.slug AS account, members.role
FROM (
    SELECT account_id, id AS workflow_id FROM sites WHERE %(kind)s = 'site' AND id = %(id)s
    UNION ALL SELECT account_id, id FROM missions WHERE %(kind)s = 'mission' AND id = %(id)s
    UNION ALL SELECT account_id, id FROM flows WHERE %(kind)s = 'flow' AND id = %(id)s
    UNION ALL SELECT account_id, workflow_id FROM runs WHERE %(kind)s = 'job' AND id = %(id)s
    UNION ALL SELECT account_id, site_id FROM contents WHERE %(kind)s = 'article' AND id = %(id)s
    UNION ALL SELECT account_id, mission_id FROM posts WHERE %(kind)s = 'post' AND id = %(id)s
    UNION ALL SELECT account_id, workflow_id FROM publications WHERE %(kind)s = 'publication' AND id = %(id)s
    UNION ALL SELECT account_id, site_id FROM keywords WHERE %(kind)s = 'keyword' AND id = %(id)s
    UNION ALL SELECT account_id, site_id FROM clusters WHERE %(kind)s = 'cluster' AND id = %(id)s
    UNION ALL SELECT account_id, site_id FROM ideas WHERE %(kind)s = 'idea' AND id = %(id)s
    UNION ALL SELECT account_id, mission_id FROM insights WHERE %(kind)s = 'insight' AND id = %(id)s
    UNION ALL SELECT account_id, flow_id FROM flow_items WHERE %(kind)s = 'item' AND id = %(id)s
    UNION ALL SELECT gates.account_id, items.flow_id FROM gates
        JOIN flow_items AS items ON items.id = gates.item_id WHERE %(kind)s = 'gate' AND gates.id = %(id)s
    UNION ALL SELECT account_id, NULL FROM brand_contexts WHERE %(kind)s = 'brand' AND id = %(id)s
    UNION ALL SELECT account_id, NULL FROM api_keys WHERE %(kind)s = 'key' AND id = %(id)s
    UNION ALL SELECT account_id, NULL FROM links WHERE %(kind)s = 'link' AND id = %(id)s
) AS t
JOIN accounts ON accounts.id = t.account_id
LEFT JOIN workflows ON workflows.id = t.workflow_id
LEFT JOIN members ON members.account_id = t.account_id AND members.username = %(username)s

-- name: publication_is_anothers
-- Returns whether the place behind a target's connection has a piece of another account under this external id.
SELECT EXISTS (
    SELECT FROM publications
    WHERE account_id <> %(account)s AND external_id = %(external_id)s AND status <> 'withdrawn'
        AND regexp_replace(target, '/[^/]*$', '') = regexp_replace(%(target)s, '/[^/]*$', ''))

-- name: account_for
-- Returns the account with this slug and the caller's role in it (null: no member).
SELECT accounts.id AS account_id, NULL::bigint AS workflow_id, NULL AS workflow_kind, accounts.slug AS account, members.role
FROM accounts
LEFT JOIN members ON members.account_id = accounts.id AND members.username = %(username)s
WHERE accounts.slug = %(slug)s

-- name: accounts_of_member
-- Returns the accounts that a user is a member of, with the role, by slug.
SELECT accounts.id AS account_id, NULL::bigint AS workflow_id, NULL AS workflow_kind, accounts.slug AS account, members.role
FROM members JOIN accounts ON accounts.id = members.account_id
WHERE members.username = %(username)s
ORDER BY accounts.slug COLLATE "C"
LIMIT %(limit)s

-- name: accounts_of_admin
-- Returns all accounts by slug, without a role: an administrator needs none.
SELECT id AS account_id, NULL::bigint AS workflow_id, NULL AS workflow_kind, slug AS account, NULL AS role
FROM accounts ORDER BY slug COLLATE "C"
LIMIT %(limit)s

-- name: account_of_key
-- Returns the account that an API key belongs to.
SELECT accounts.id AS account_id, NULL::bigint AS workflow_id, NULL AS workflow_kind, accounts.slug AS account, NULL AS role
FROM api_keys JOIN accounts ON accounts.id = api_keys.account_id WHERE api_keys.id = %(key)s

-- name: api_key_by_hash
-- Returns the valid API key with this hash. `makers_role`: today's role of the member with whom it ends. `worth_noting`:
-- its last use is older than a minute.
SELECT keys.id, keys.account_id, accounts.slug AS account, keys.name, keys.role, keys.member, members.role AS makers_role,
    keys.last_used_at IS NULL OR keys.last_used_at < now() - interval '1 minute' AS worth_noting
FROM valid_api_keys AS keys
JOIN accounts ON accounts.id = keys.account_id
LEFT JOIN members ON members.account_id = keys.account_id AND members.username = keys.member
WHERE keys.key_hash = %(key_hash)s

-- name: api_key_used
-- Sets the time of an API key's last use.
UPDATE api_keys SET last_used_at = now() WHERE id = %(key)s

-- name: link_by_hash
-- Returns the valid link with this hash, of any account. `makers_role`: today's role of the member with whom it ends.
-- `worth_noting`: its last use is older than a minute.
SELECT links.id, links.account_id, accounts.slug AS account, links.opens, links.kind, links.number, links.role,
    links.recipient, links.sent_by, links.expires_at, members.role AS makers_role,
    links.last_used_at IS NULL OR links.last_used_at < now() - interval '1 minute' AS worth_noting
FROM valid_links AS links
JOIN accounts ON accounts.id = links.account_id
LEFT JOIN members ON members.account_id = links.account_id AND members.username = links.member
WHERE links.secret_hash = %(secret_hash)s

-- name: link_used
-- Sets the time of a link's last use.
UPDATE links SET last_used_at = now() WHERE id = %(link)s

-- name: account_of_link
-- Returns the account that a link belongs to.
SELECT accounts.id AS account_id, NULL::bigint AS workflow_id, NULL AS workflow_kind, accounts.slug AS account, NULL AS role
FROM links JOIN accounts ON accounts.id = links.account_id WHERE links.id = %(link)s

-- name: caller_reads_still
-- Returns whether a caller who was let in may still read the account: an API key or a link that is valid, or a member.
SELECT CASE
    WHEN %(key)s::bigint IS NOT NULL
    THEN EXISTS (SELECT FROM valid_api_keys WHERE account_id = %(account)s AND id = %(key)s)
    WHEN %(link)s::bigint IS NOT NULL
    THEN EXISTS (SELECT FROM valid_links WHERE account_id = %(account)s AND id = %(link)s)
    ELSE EXISTS (SELECT FROM members WHERE account_id = %(account)s AND username = %(username)s) END
