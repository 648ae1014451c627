-- Links that open something for somebody without a login, until they expire or are revoked. Of the secret only the hash is
-- kept. A link ends with the member, and with the API key, that made it.
CREATE TABLE links (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    opens        text NOT NULL CHECK (opens IN ('queue', 'piece', 'report')),
    kind         text CHECK (kind IN ('site', 'mission', 'flow', 'article', 'post', 'gate')),  -- null: the whole account
    number       bigint,
    role         text NOT NULL CHECK (role IN ('viewer', 'approver')),
    recipient    text NOT NULL CHECK (recipient <> ''),
    secret_hash  text NOT NULL UNIQUE,
    sent_by      text NOT NULL,
    member       text,    -- null: an administrator who is no member made it
    key_id       bigint REFERENCES api_keys ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    revoked_by   text,
    CHECK ((kind IS NULL) = (number IS NULL)),
    CHECK ((opens = 'piece') = coalesce(kind IN ('article', 'post', 'gate'), false))
);
CREATE INDEX links_of_account ON links (account_id, id);

CREATE VIEW valid_links AS
SELECT * FROM links
WHERE revoked_at IS NULL AND expires_at > now()
    AND (member IS NULL OR EXISTS (
        SELECT FROM members WHERE members.account_id = links.account_id AND members.username = links.member))
    AND (key_id IS NULL OR EXISTS (SELECT FROM valid_api_keys AS keys WHERE keys.id = links.key_id));
