-- An API key ends with the member who made it. A key whose maker is no member today counts as an administrator's: who was
-- one was never kept.
ALTER TABLE api_keys ADD COLUMN member text;  -- null: an administrator made it, and it ends by being revoked
UPDATE api_keys SET member = members.username
FROM members WHERE members.account_id = api_keys.account_id AND api_keys.created_by = 'user:' || members.username;

CREATE VIEW valid_api_keys AS
SELECT * FROM api_keys
WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
    AND (member IS NULL OR EXISTS (
        SELECT FROM members WHERE members.account_id = api_keys.account_id AND members.username = api_keys.member));
