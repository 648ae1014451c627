-- Links for people without a login.

-- name: link_insert
-- Inserts a link. Returns its id.
INSERT INTO links (
    account_id, opens, kind, number, role, recipient, secret_hash, sent_by, member, key_id, expires_at)
VALUES (
    %(account)s, %(opens)s, %(kind)s, %(number)s, %(role)s, %(recipient)s, %(secret_hash)s, %(by)s, %(member)s, %(key)s,
    %(expires_at)s)
RETURNING id

-- name: links
-- Returns a page of links, newest first, or the one with id `link`. `valid`: whether it opens something now.
SELECT id, opens, kind, number, role, recipient, sent_by, created_at, expires_at, last_used_at, revoked_at, revoked_by,
    EXISTS (SELECT FROM valid_links WHERE valid_links.id = links.id) AS valid
FROM links
WHERE account_id = %(account)s AND (%(link)s::bigint IS NULL OR id = %(link)s)
    AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC
LIMIT %(limit)s

-- name: link_revoke
-- Revokes a link. No row when it is revoked already.
UPDATE links SET revoked_at = now(), revoked_by = %(by)s
WHERE account_id = %(account)s AND id = %(link)s AND revoked_at IS NULL

-- name: links_of_removed
-- Revokes the links whose maker is no member any more.
UPDATE links SET revoked_at = now(), revoked_by = %(by)s
WHERE account_id = %(account)s AND revoked_at IS NULL AND member IS NOT NULL AND NOT EXISTS (
    SELECT FROM members WHERE members.account_id = %(account)s AND members.username = links.member)
