-- Flows -------------------------------------------------------------------------------------------

ALTER TABLE workflows DROP CONSTRAINT workflows_kind_check;
ALTER TABLE workflows ADD CHECK (kind IN ('site', 'mission', 'flow'));

CREATE TABLE flows (
    id               bigint PRIMARY KEY,
    account_id       bigint NOT NULL,
    slug             text NOT NULL UNIQUE,
    status           text NOT NULL CHECK (status IN ('active', 'disabled')),
    brand_context_id bigint,
    definition       jsonb NOT NULL,
    updated_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, id),
    FOREIGN KEY (account_id, id) REFERENCES workflows (account_id, id) ON DELETE CASCADE,
    FOREIGN KEY (account_id, brand_context_id) REFERENCES brand_contexts (account_id, id)
);

-- One thing that a flow works on, from where it came in to its last step.
CREATE TABLE flow_items (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL,
    flow_id    bigint NOT NULL,
    run_id     bigint NOT NULL,
    source_id  text NOT NULL CHECK (source_id <> ''),
    position   integer NOT NULL CHECK (position >= 0),   -- within its run, newest first
    source     jsonb NOT NULL,
    step       integer NOT NULL CHECK (step >= 0),       -- the position of the step that is next
    status     text NOT NULL DEFAULT 'active' CHECK (status IN (
        'active', 'done', 'agent_skipped', 'skipped', 'rejected', 'failed')),
    reason     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    UNIQUE (account_id, id),
    UNIQUE (run_id, source_id),
    FOREIGN KEY (account_id, flow_id) REFERENCES flows (account_id, id) ON DELETE CASCADE,
    FOREIGN KEY (account_id, run_id) REFERENCES runs (account_id, id) ON DELETE CASCADE,
    CHECK ((status = 'active') = (ended_at IS NULL))
);
CREATE INDEX flow_items_active ON flow_items (run_id, position) WHERE status = 'active';

-- What a flow has taken up of its sources: claimed when an item is made of it, committed when that item's last step is
-- done, gone again when the item fails, so that the next run takes it up.
CREATE TABLE flow_claims (
    account_id   bigint NOT NULL,
    flow_id      bigint NOT NULL,
    source_id    text NOT NULL,
    item_id      bigint NOT NULL,
    committed_at timestamptz,
    claimed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (flow_id, source_id),
    FOREIGN KEY (account_id, flow_id) REFERENCES flows (account_id, id) ON DELETE CASCADE,
    FOREIGN KEY (account_id, item_id) REFERENCES flow_items (account_id, id) ON DELETE CASCADE
);

-- Everything an item has gone through, in order, appended to and never changed.
CREATE TABLE packets (
    account_id bigint NOT NULL,
    item_id    bigint NOT NULL,
    id         integer NOT NULL CHECK (id >= 1),
    step       text NOT NULL,
    kind       text NOT NULL,          -- source, text, output, tool_call, published, media, answer, note, error
    data       jsonb NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (item_id, id),
    FOREIGN KEY (account_id, item_id) REFERENCES flow_items (account_id, id) ON DELETE CASCADE
);

CREATE TABLE gates (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  bigint NOT NULL,
    item_id     bigint NOT NULL,
    step        text NOT NULL,
    by          text NOT NULL CHECK (by IN ('webhook', 'approval', 'time')),
    subject     text NOT NULL DEFAULT '',
    token_hash  text NOT NULL UNIQUE,  -- SHA-256: whoever reads the table cannot answer
    task        jsonb NOT NULL,        -- the task instance in Airflow that waits
    due_at      timestamptz NOT NULL,
    on_timeout  text NOT NULL CHECK (on_timeout IN ('approve', 'reject', 'fail')),
    outcome     text CHECK (outcome IN ('approve', 'reject', 'fail')),
    answer      jsonb,                 -- what came with the answer, edits among it
    answered_by text,
    answered_at timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, id),
    UNIQUE (item_id, step),
    FOREIGN KEY (account_id, item_id) REFERENCES flow_items (account_id, id) ON DELETE CASCADE,
    CHECK ((outcome IS NULL) = (answered_at IS NULL))
);
CREATE INDEX gates_open ON gates (due_at) WHERE outcome IS NULL;

-- Webhook calls seen lately, so that one that comes again is refused.
CREATE TABLE webhook_calls (
    account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    signature  text NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, signature)
);
CREATE INDEX webhook_calls_at ON webhook_calls (at);

-- Sites publish what is approved ------------------------------------------------------------------

ALTER TABLE contents ADD COLUMN content_hash text NOT NULL DEFAULT '';
ALTER TABLE contents ADD COLUMN approved_hash text;   -- of what was approved; an edit makes the two differ
ALTER TABLE contents ADD COLUMN approved_by text;
ALTER TABLE contents ADD COLUMN approved_at timestamptz;
ALTER TABLE contents ADD COLUMN review_note text NOT NULL DEFAULT '';
ALTER TABLE contents ADD COLUMN published_at timestamptz;

-- Several runs of a flow may be live at once: one that waits at a gate for days must not hold up the next.
ALTER TABLE runs ADD COLUMN exclusive boolean NOT NULL DEFAULT true;
DROP INDEX one_live_run_per_workflow;
CREATE UNIQUE INDEX one_live_run_per_workflow ON runs (workflow_id)
    WHERE status IN ('running', 'paused') AND exclusive;
