-- Who may call, what was called, and what was answered -------------------------------------------

CREATE TABLE api_keys (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name         text NOT NULL CHECK (name <> ''),
    role         text NOT NULL CHECK (role IN ('viewer', 'editor', 'approver', 'owner')),
    prefix       text NOT NULL,         -- how the key begins, so that people can tell which one it is
    key_hash     text NOT NULL UNIQUE,  -- SHA-256: whoever reads the table cannot call
    created_by   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    revoked_by   text,
    UNIQUE (account_id, id)
);
CREATE INDEX members_username ON members (username);

-- Who did what, when, to what. Written in the transaction that does it.
CREATE TABLE audit_log (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor      text NOT NULL,          -- user:NAME or key:ID
    action     text NOT NULL,          -- such as article.approve
    target     text NOT NULL,          -- such as article:12
    details    jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_account ON audit_log (account_id, id DESC);

-- The first answer to a call with an Idempotency-Key. `status` is null while that call is being worked on.
CREATE TABLE idempotency_keys (
    account_id  bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    caller      text NOT NULL,
    key         text NOT NULL,
    fingerprint text NOT NULL,         -- SHA-256 of method, path and body: the same key is for the same call
    status      integer,
    body        jsonb,
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, caller, key)
);
CREATE INDEX idempotency_keys_at ON idempotency_keys (at);

-- Jobs --------------------------------------------------------------------------------------------

ALTER TABLE runs ADD COLUMN rollback_requested_by text;  -- a person asked for it; null: nobody did
CREATE INDEX runs_account ON runs (account_id, id DESC);
