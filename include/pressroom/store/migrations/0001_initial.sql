-- Tenants -----------------------------------------------------------------------------------------

CREATE TABLE accounts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug        text NOT NULL UNIQUE,
    name        text NOT NULL,
    definition  jsonb NOT NULL,
    -- The sum of the ledger and of the open reservations, kept by the triggers below, so that the check
    -- can refuse an overspend whatever runs at the same time.
    balance     numeric(14, 2) NOT NULL DEFAULT 0,
    reserved    numeric(14, 2) NOT NULL DEFAULT 0,
    spent_cents numeric(16, 6) NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reserved_is_covered CHECK (reserved = 0 OR balance >= reserved),
    CONSTRAINT reserved_is_positive CHECK (reserved >= 0)
);

CREATE TABLE members (
    account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    username   text NOT NULL,
    role       text NOT NULL CHECK (role IN ('viewer', 'editor', 'approver', 'owner')),
    PRIMARY KEY (account_id, username)
);

-- Definitions -------------------------------------------------------------------------------------

CREATE TABLE brand_contexts (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    slug       text NOT NULL,
    definition jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, slug),
    UNIQUE (account_id, id)
);

CREATE TABLE sites (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id       bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    slug             text NOT NULL UNIQUE,  -- names the DAG, so unique over all accounts
    -- Deals the sites out over the dag files, the same way for ever.
    slug_hash        integer NOT NULL GENERATED ALWAYS AS (('x' || left(md5(slug), 7))::bit(28)::integer) STORED,
    status           text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    brand_context_id bigint,
    definition       jsonb NOT NULL,        -- all but the automation part
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, id),
    FOREIGN KEY (account_id, brand_context_id) REFERENCES brand_contexts (account_id, id)
);

CREATE TABLE automation_configs (
    site_id             bigint PRIMARY KEY,
    account_id          bigint NOT NULL,
    enabled             boolean NOT NULL,
    frequency           text NOT NULL CHECK (frequency IN ('daily', 'weekly', 'monthly')),
    scheduled_time      time NOT NULL,
    timezone            text NOT NULL,
    cron                text,
    batch_sizes         jsonb NOT NULL,
    within_stage_delay  integer NOT NULL CHECK (within_stage_delay >= 0),
    between_stage_delay integer NOT NULL CHECK (between_stage_delay >= 0),
    concurrency         integer NOT NULL CHECK (concurrency >= 1),
    articles_per_run    integer CHECK (articles_per_run >= 1),
    last_run_at         timestamptz,
    updated_at          timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (account_id, site_id) REFERENCES sites (account_id, id) ON DELETE CASCADE
);

-- Site items --------------------------------------------------------------------------------------

CREATE TABLE clusters (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  bigint NOT NULL,
    site_id     bigint NOT NULL,
    name        text NOT NULL CHECK (name <> ''),
    normalized  text NOT NULL,
    description text NOT NULL DEFAULT '',
    status      text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'planned')),
    disabled    boolean NOT NULL DEFAULT false,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (site_id, normalized),
    UNIQUE (account_id, id),
    FOREIGN KEY (account_id, site_id) REFERENCES sites (account_id, id) ON DELETE CASCADE
);
CREATE INDEX clusters_new ON clusters (site_id, id) WHERE status = 'new';

CREATE TABLE keywords (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL,
    site_id    bigint NOT NULL,
    text       text NOT NULL CHECK (text <> ''),
    normalized text NOT NULL,
    volume     integer CHECK (volume >= 0),
    difficulty numeric(5, 2) CHECK (difficulty BETWEEN 0 AND 100),
    intent     text CHECK (intent IN ('informational', 'commercial', 'transactional', 'navigational')),
    status     text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'clustered')),
    disabled   boolean NOT NULL DEFAULT false,
    cluster_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (site_id, normalized),
    UNIQUE (account_id, id),
    FOREIGN KEY (account_id, site_id) REFERENCES sites (account_id, id) ON DELETE CASCADE,
    FOREIGN KEY (account_id, cluster_id) REFERENCES clusters (account_id, id),
    CHECK ((status = 'clustered') = (cluster_id IS NOT NULL))
);
CREATE INDEX keywords_new ON keywords (site_id, id) WHERE status = 'new';
CREATE INDEX keywords_cluster ON keywords (cluster_id);

CREATE TABLE ideas (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id      bigint NOT NULL,
    site_id         bigint NOT NULL,
    cluster_id      bigint NOT NULL,
    title           text NOT NULL CHECK (title <> ''),
    normalized      text NOT NULL,
    angle           text NOT NULL DEFAULT '',
    type            text NOT NULL CHECK (type IN ('guide', 'how_to', 'list', 'comparison', 'review', 'news', 'faq')),
    target_keywords text[] NOT NULL DEFAULT '{}',
    outline         text[] NOT NULL DEFAULT '{}',
    status          text NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'queued')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (site_id, normalized),
    UNIQUE (account_id, id),
    FOREIGN KEY (account_id, site_id) REFERENCES sites (account_id, id) ON DELETE CASCADE,
    FOREIGN KEY (account_id, cluster_id) REFERENCES clusters (account_id, id)
);
CREATE INDEX ideas_new ON ideas (site_id, id) WHERE status = 'new';
CREATE INDEX ideas_cluster ON ideas (cluster_id);

CREATE TABLE tasks (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL,
    site_id    bigint NOT NULL,
    idea_id    bigint NOT NULL UNIQUE,  -- an idea becomes one task
    status     text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'completed')),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, id),
    FOREIGN KEY (account_id, site_id) REFERENCES sites (account_id, id) ON DELETE CASCADE,
    FOREIGN KEY (account_id, idea_id) REFERENCES ideas (account_id, id)
);
CREATE INDEX tasks_queued ON tasks (site_id, id) WHERE status = 'queued';

CREATE TABLE contents (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id       bigint NOT NULL,
    site_id          bigint NOT NULL,
    task_id          bigint NOT NULL UNIQUE,  -- a task becomes one article
    title            text NOT NULL CHECK (title <> ''),
    slug             text NOT NULL,
    meta_description text NOT NULL,
    html             text NOT NULL,
    excerpt          text NOT NULL,
    tags             text[] NOT NULL DEFAULT '{}',
    word_count       integer NOT NULL CHECK (word_count >= 0),
    status           text NOT NULL DEFAULT 'draft' CHECK (status IN (
        'draft', 'review', 'approved', 'rejected', 'scheduled', 'published', 'failed', 'archived')),
    model            text NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (site_id, slug),
    UNIQUE (account_id, id),
    FOREIGN KEY (account_id, site_id) REFERENCES sites (account_id, id) ON DELETE CASCADE,
    FOREIGN KEY (account_id, task_id) REFERENCES tasks (account_id, id)
);
CREATE INDEX contents_waiting ON contents (site_id, status, id) WHERE status IN ('draft', 'review');

CREATE TABLE images (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL,
    site_id    bigint NOT NULL,
    content_id bigint NOT NULL,
    role       text NOT NULL CHECK (role IN ('featured', 'in_article')),
    position   integer NOT NULL CHECK (position >= 0),
    prompt     text NOT NULL,
    alt        text NOT NULL,
    status     text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'generated')),
    media_url  text,
    media_type text,
    width      integer,
    height     integer,
    model      text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (content_id, position),
    UNIQUE (account_id, id),
    FOREIGN KEY (account_id, site_id) REFERENCES sites (account_id, id) ON DELETE CASCADE,
    FOREIGN KEY (account_id, content_id) REFERENCES contents (account_id, id),
    CHECK ((role = 'featured') = (position = 0)),
    CHECK ((status = 'generated') = (media_url IS NOT NULL))
);
CREATE INDEX images_pending ON images (site_id, id) WHERE status = 'pending';

-- Runs --------------------------------------------------------------------------------------------

CREATE TABLE runs (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id        bigint NOT NULL,
    site_id           bigint NOT NULL,
    dag_id            text NOT NULL,
    dag_run_id        text NOT NULL,
    trigger           text NOT NULL CHECK (trigger IN ('manual', 'scheduled')),
    owner             text NOT NULL,           -- who holds the site's lock, for people to read
    status            text NOT NULL DEFAULT 'running' CHECK (status IN (
        'running', 'paused', 'completed', 'partial', 'failed', 'cancelled')),
    cancel_requested  boolean NOT NULL DEFAULT false,
    lease_until       timestamptz NOT NULL,
    current_stage     text,
    params            jsonb NOT NULL DEFAULT '{}',
    estimated_credits numeric(14, 2) NOT NULL DEFAULT 0,
    error_message     text,
    last_event        bigint NOT NULL DEFAULT 0,
    started_at        timestamptz NOT NULL DEFAULT now(),
    opened_at         timestamptz NOT NULL DEFAULT now(),  -- by the start, or by the clear that took it up again
    paused_at         timestamptz,
    resumed_at        timestamptz,
    cancelled_at      timestamptz,
    completed_at      timestamptz,
    UNIQUE (dag_id, dag_run_id),
    UNIQUE (account_id, id),
    FOREIGN KEY (account_id, site_id) REFERENCES sites (account_id, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX one_live_run_per_site ON runs (site_id) WHERE status IN ('running', 'paused');
CREATE INDEX runs_history ON runs (site_id, id DESC);

CREATE TABLE stage_results (
    account_id   bigint NOT NULL,
    run_id       bigint NOT NULL,
    stage        text NOT NULL,
    processed    bigint NOT NULL DEFAULT 0,
    created      bigint NOT NULL DEFAULT 0,
    words        bigint NOT NULL DEFAULT 0,
    batches      bigint NOT NULL DEFAULT 0,
    planned      bigint NOT NULL DEFAULT 0,
    credits      numeric(14, 2) NOT NULL DEFAULT 0,
    failed       bigint NOT NULL DEFAULT 0,
    skipped      text,                          -- why the stage had nothing to do, when that is worth saying
    partial      text,                          -- why it stopped before its end
    output       jsonb,
    started_at   timestamptz NOT NULL DEFAULT now(),
    completed_at timestamptz,
    PRIMARY KEY (run_id, stage),
    FOREIGN KEY (account_id, run_id) REFERENCES runs (account_id, id) ON DELETE CASCADE
);

CREATE TABLE run_events (
    account_id bigint NOT NULL,
    run_id     bigint NOT NULL,
    -- Counted by the run (runs.last_event), whose row stays locked until the event is committed: so events come in the
    -- order of their numbers, and whoever has read up to one has missed none before it.
    id         bigint NOT NULL,
    stage      text,
    kind       text NOT NULL,
    level      text NOT NULL DEFAULT 'info' CHECK (level IN ('info', 'warning', 'error')),
    message    text NOT NULL,
    data       jsonb NOT NULL DEFAULT '{}',
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, id),
    FOREIGN KEY (account_id, run_id) REFERENCES runs (account_id, id) ON DELETE CASCADE
);

CREATE TABLE item_failures (
    account_id  bigint NOT NULL,
    site_id     bigint NOT NULL,
    stage       text NOT NULL,
    item        text NOT NULL,
    attempts    integer NOT NULL DEFAULT 1,
    error_class text NOT NULL,
    error       text NOT NULL,
    run_id      bigint NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site_id, stage, item),
    FOREIGN KEY (account_id, site_id) REFERENCES sites (account_id, id) ON DELETE CASCADE
);

-- Money -------------------------------------------------------------------------------------------

CREATE TABLE ledger (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES accounts,
    kind       text NOT NULL CHECK (kind IN ('grant', 'charge', 'cost', 'adjustment')),
    credits    numeric(14, 2) NOT NULL DEFAULT 0,  -- signed: a charge is negative
    cents      numeric(16, 6) NOT NULL DEFAULT 0,  -- what the provider takes; positive
    site_id    bigint,
    run_id     bigint,
    stage      text,
    item       text,
    note       text NOT NULL DEFAULT '',
    entry_key  text NOT NULL,                      -- the same fact can be entered once only
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (account_id, entry_key),
    CHECK (kind <> 'charge' OR credits <= 0),
    CHECK (kind <> 'grant' OR credits > 0),
    CHECK (kind <> 'cost' OR credits = 0)
);
CREATE INDEX ledger_run ON ledger (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX ledger_costs ON ledger (account_id, at) WHERE kind = 'cost';

CREATE TABLE reservations (
    account_id bigint NOT NULL REFERENCES accounts,
    site_id    bigint NOT NULL,
    run_id     bigint NOT NULL,
    stage      text NOT NULL,
    item       text NOT NULL,
    credits    numeric(14, 2) NOT NULL DEFAULT 0 CHECK (credits >= 0),
    cents      numeric(16, 6) NOT NULL DEFAULT 0 CHECK (cents >= 0),
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, stage, item),
    FOREIGN KEY (account_id, run_id) REFERENCES runs (account_id, id) ON DELETE CASCADE
);
CREATE INDEX reservations_account ON reservations (account_id);

CREATE FUNCTION ledger_adds_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE accounts SET balance = balance + NEW.credits, spent_cents = spent_cents + NEW.cents
    WHERE id = NEW.account_id;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_adds_up AFTER INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION ledger_adds_up();

CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: enter an adjustment instead';
END $$;
CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();

CREATE FUNCTION reservations_add_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE accounts
    SET reserved = reserved
        + CASE WHEN TG_OP <> 'DELETE' THEN NEW.credits ELSE 0 END
        - CASE WHEN TG_OP <> 'INSERT' THEN OLD.credits ELSE 0 END
    WHERE id = CASE WHEN TG_OP = 'DELETE' THEN OLD.account_id ELSE NEW.account_id END;
    RETURN NULL;
END $$;
CREATE TRIGGER reservations_add_up AFTER INSERT OR UPDATE OR DELETE ON reservations
    FOR EACH ROW EXECUTE FUNCTION reservations_add_up();

-- Model calls -------------------------------------------------------------------------------------

CREATE TABLE ai_calls (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id        bigint NOT NULL,
    run_id            bigint,
    site_id           bigint,
    stage             text NOT NULL,
    item              text NOT NULL,
    connection        text NOT NULL,
    model             text NOT NULL,
    kind              text NOT NULL CHECK (kind IN ('text', 'image')),
    outcome           text NOT NULL,             -- ok, cached, or the error's class
    prompt_tokens     integer NOT NULL DEFAULT 0,
    completion_tokens integer NOT NULL DEFAULT 0,
    cents             numeric(16, 6) NOT NULL DEFAULT 0,
    milliseconds      integer NOT NULL DEFAULT 0,
    at                timestamptz NOT NULL DEFAULT clock_timestamp(),
    FOREIGN KEY (account_id) REFERENCES accounts
);
CREATE INDEX ai_calls_run ON ai_calls (run_id, stage);

CREATE TABLE ai_cache (
    account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    key        text NOT NULL,                    -- sha-256 of model, messages, parameters, schema
    answer     text NOT NULL,
    model      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key)
);

-- Shared by every worker on every host: the time at which the next unit falls due (GCRA).
CREATE TABLE rate_limits (
    connection text NOT NULL,
    unit       text NOT NULL CHECK (unit IN ('requests', 'tokens')),
    due_at     timestamptz NOT NULL,
    PRIMARY KEY (connection, unit)
);
