-- Items of a site ---------------------------------------------------------------------------------

ALTER TABLE ideas ADD COLUMN disabled boolean NOT NULL DEFAULT false;

-- Lists of one site, newest first. Those of a whole account go by UNIQUE (account_id, id).
CREATE INDEX clusters_site ON clusters (site_id, id);
CREATE INDEX keywords_site ON keywords (site_id, id);
CREATE INDEX ideas_site ON ideas (site_id, id);

-- Usage -------------------------------------------------------------------------------------------
-- What an account used, by the day (UTC), summed up as it is entered: adding up a month's entries when somebody asks
-- would take too long. Each fact is summed up once for every `by`; `key` says for which stage, workflow or model. There
-- may be a thousand workflows, so theirs are summed up by the month as well, under its first day.
--
-- Two tables, because their rows are locked at different places of the order: those of ai_call_days before the
-- account's row, since a call is booked before its cost, and those of ledger_days after it. If the two shared rows,
-- a call and a charge at once could each wait for the other. Within a table the rows of one fact are taken in one
-- order: by stage, by workflow, by its month, by model.

CREATE TABLE ledger_days (
    account_id bigint NOT NULL REFERENCES accounts,
    by         text NOT NULL CHECK (by IN ('stage', 'workflow', 'workflow_month')),
    day        date NOT NULL,
    key        text NOT NULL,
    credits    numeric(16, 2) NOT NULL,  -- charges less refunds
    cents      numeric(18, 6) NOT NULL,  -- what providers took
    PRIMARY KEY (account_id, by, day, key)
) WITH (fillfactor = 70);

CREATE TABLE ai_call_days (
    account_id        bigint NOT NULL REFERENCES accounts,
    by                text NOT NULL CHECK (by IN ('stage', 'workflow', 'workflow_month', 'model')),
    day               date NOT NULL,
    key               text NOT NULL,
    calls             bigint NOT NULL,   -- that were made: an answer from the cache is none
    prompt_tokens     bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    cents             numeric(18, 6) NOT NULL,
    PRIMARY KEY (account_id, by, day, key)
) WITH (fillfactor = 70);

-- Whatever is entered meanwhile waits, or it would be in neither the sums of before nor those of after.
LOCK TABLE ai_calls IN SHARE ROW EXCLUSIVE MODE;
LOCK TABLE ledger IN SHARE ROW EXCLUSIVE MODE;

CREATE FUNCTION usage_sums(stage text, workflow bigint, at timestamptz)
RETURNS TABLE (by text, day date, key text) LANGUAGE sql IMMUTABLE AS $$
    VALUES
        ('stage', (at AT TIME ZONE 'UTC')::date, coalesce(stage, '')),
        ('workflow', (at AT TIME ZONE 'UTC')::date, coalesce(workflow::text, '')),
        ('workflow_month', date_trunc('month', at AT TIME ZONE 'UTC')::date, coalesce(workflow::text, ''))
$$;

INSERT INTO ledger_days (account_id, by, day, key, credits, cents)
SELECT account_id, sums.by, sums.day, sums.key, -sum(credits), sum(cents)
FROM ledger CROSS JOIN usage_sums(stage, workflow_id, at) AS sums
WHERE kind IN ('charge', 'cost') OR (kind = 'adjustment' AND run_id IS NOT NULL)
GROUP BY 1, 2, 3, 4;

INSERT INTO ai_call_days (account_id, by, day, key, calls, prompt_tokens, completion_tokens, cents)
SELECT account_id, sums.by, sums.day, sums.key, count(*), sum(prompt_tokens), sum(completion_tokens), sum(cents)
FROM ai_calls CROSS JOIN LATERAL (
    SELECT * FROM usage_sums(stage, workflow_id, at)
    UNION ALL SELECT 'model', (at AT TIME ZONE 'UTC')::date, model) AS sums
WHERE outcome <> 'cached'
GROUP BY 1, 2, 3, 4;

CREATE OR REPLACE FUNCTION ledger_adds_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE accounts SET balance = balance + NEW.credits, spent_cents = spent_cents + NEW.cents
    WHERE id = NEW.account_id;
    -- An adjustment of a run is a refund; grants and other adjustments are no use of anything.
    IF NEW.kind IN ('charge', 'cost') OR (NEW.kind = 'adjustment' AND NEW.run_id IS NOT NULL) THEN
        INSERT INTO ledger_days AS kept (account_id, by, day, key, credits, cents)
        SELECT NEW.account_id, sums.by, sums.day, sums.key, -NEW.credits, NEW.cents
        FROM usage_sums(NEW.stage, NEW.workflow_id, NEW.at) AS sums
        ON CONFLICT (account_id, by, day, key) DO UPDATE
        SET credits = kept.credits + excluded.credits, cents = kept.cents + excluded.cents;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION ai_calls_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ai_call_days AS kept
        (account_id, by, day, key, calls, prompt_tokens, completion_tokens, cents)
    SELECT NEW.account_id, sums.by, sums.day, sums.key, 1, NEW.prompt_tokens, NEW.completion_tokens, NEW.cents
    FROM (
        SELECT * FROM usage_sums(NEW.stage, NEW.workflow_id, NEW.at)
        UNION ALL SELECT 'model', (NEW.at AT TIME ZONE 'UTC')::date, NEW.model) AS sums
    ON CONFLICT (account_id, by, day, key) DO UPDATE
    SET calls = kept.calls + 1, prompt_tokens = kept.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = kept.completion_tokens + excluded.completion_tokens,
        cents = kept.cents + excluded.cents;
    RETURN NULL;
END $$;
CREATE TRIGGER ai_calls_add_up AFTER INSERT ON ai_calls
    FOR EACH ROW WHEN (NEW.outcome <> 'cached') EXECUTE FUNCTION ai_calls_add_up();

-- The ledger as a list, newest first. A stage may have few entries, and grants and adjustments are few.
CREATE INDEX ledger_newest ON ledger (account_id, at DESC, id DESC);
CREATE INDEX ledger_newest_of_stage ON ledger (account_id, stage, at DESC, id DESC);
CREATE INDEX ledger_by_hand ON ledger (account_id, kind, at DESC, id DESC) WHERE kind IN ('grant', 'adjustment');
