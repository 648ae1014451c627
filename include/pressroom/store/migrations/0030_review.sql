-- What an article's checks give it, of 100; null: not rated yet. And the texts that a version is compared with: what was
-- generated, kept at the first edit, and what was approved last.
ALTER TABLE contents ADD COLUMN score smallint CHECK (score BETWEEN 0 AND 100);

CREATE TABLE kept_texts (
    account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('article', 'post')),
    number     bigint NOT NULL,
    version    text NOT NULL CHECK (version IN ('generated', 'approved')),
    title      text NOT NULL,
    body       text NOT NULL,  -- of an article its HTML, of a post its parts
    by         text NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, kind, number, version)
);

-- Who changed a thing last, and whether anybody did.
CREATE INDEX audit_log_target ON audit_log (account_id, target, id DESC);
