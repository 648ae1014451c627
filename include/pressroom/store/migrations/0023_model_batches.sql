-- Requests to a provider's batch endpoint. A batch is on record before it is submitted, with the mark by which it is found
-- there, so that it is submitted once whatever dies in between.
CREATE TABLE model_batches (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   bigint NOT NULL REFERENCES accounts,
    workflow_id  bigint NOT NULL,
    run_id       bigint NOT NULL,                -- the run that its cost is booked to
    stage        text NOT NULL,
    connection   text NOT NULL,
    model        text NOT NULL,
    mark         text NOT NULL UNIQUE,           -- ours, in the batch's metadata at the provider
    status       text NOT NULL DEFAULT 'planned'
                 CHECK (status IN ('planned', 'submitting', 'submitted', 'ended', 'refused')),
    attempted_at timestamptz NOT NULL DEFAULT clock_timestamp(), -- when the present attempt to submit it began
    external_id  text,
    stopped      boolean NOT NULL DEFAULT false, -- the run was paused or cancelled: what is left may go into another batch
    created_at   timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (account_id, run_id) REFERENCES runs (account_id, id) ON DELETE CASCADE
);
CREATE INDEX model_batches_open ON model_batches (account_id, workflow_id, stage)
    WHERE status NOT IN ('ended', 'refused');

CREATE TABLE model_batch_requests (
    batch_id   bigint NOT NULL REFERENCES model_batches ON DELETE CASCADE,
    account_id bigint NOT NULL,
    key        text NOT NULL,                    -- of the cache: what determines the answer
    item       text NOT NULL,
    expected   integer[] NOT NULL,               -- the most tokens it may use: of the prompt, of the answer
    status     text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'answered', 'failed', 'undone')),
    reply      jsonb,                            -- of what is answered: text, finish, tool calls, refusal
    PRIMARY KEY (batch_id, key)
);
CREATE INDEX model_batch_requests_key ON model_batch_requests (account_id, key);
