-- Notices bring people to the page. `notices` is the outbox: a row is written in the transaction of what it tells about,
-- one for each channel that wants to hear of it. `notice_messages` are what is sent: one or many notices of a kind.
CREATE TABLE notice_channels (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name       text NOT NULL,
    about      text[] NOT NULL,
    workflows  text[] NOT NULL,  -- slugs; none: all
    member     text,             -- the member it is for; it rests while there is none of this name
    definition jsonb NOT NULL,   -- names a connection of Airflow's, which has the secrets
    UNIQUE (account_id, name),
    UNIQUE (account_id, id)
);

CREATE TABLE notice_messages (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  bigint NOT NULL,
    channel_id  bigint NOT NULL,
    kind        text NOT NULL,
    recipient   text NOT NULL DEFAULT '',  -- of an e-mail; '' where the channel is the receiver
    uid         uuid NOT NULL DEFAULT gen_random_uuid(),  -- the same with every try: Message-ID, webhook-id
    subject     text NOT NULL,
    body        text NOT NULL,
    data        jsonb NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    due_at      timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    attempts    integer NOT NULL DEFAULT 0,
    sent_at     timestamptz,
    given_up_at timestamptz,
    error       text,
    UNIQUE (account_id, id),
    FOREIGN KEY (account_id, channel_id) REFERENCES notice_channels (account_id, id) ON DELETE CASCADE
);
CREATE INDEX notice_messages_open ON notice_messages (due_at) WHERE sent_at IS NULL AND given_up_at IS NULL;
CREATE INDEX notice_messages_channel ON notice_messages (channel_id, kind, created_at DESC);
CREATE INDEX notice_messages_at ON notice_messages (created_at);
CREATE INDEX notice_messages_account ON notice_messages (account_id, id DESC);

CREATE TABLE notices (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  bigint NOT NULL,
    channel_id  bigint NOT NULL,
    workflow_id bigint,
    kind        text NOT NULL CHECK (kind IN ('run_failed', 'run_partial', 'run_done', 'review_waiting', 'gate_waiting',
        'cap_near', 'publication_unknown', 'message')),
    subject     text NOT NULL,   -- what it is about, as in run:12; of a cap also workflow:3, account:1
    key         text NOT NULL,   -- what happened: told once to a channel
    facts       jsonb NOT NULL DEFAULT '{}',
    at          timestamptz NOT NULL DEFAULT now(),
    message_id  bigint,
    dropped     boolean NOT NULL DEFAULT false,  -- it was over before anybody was told
    UNIQUE (channel_id, key),
    FOREIGN KEY (account_id, channel_id) REFERENCES notice_channels (account_id, id) ON DELETE CASCADE
);
CREATE INDEX notices_waiting ON notices (channel_id, kind, id) WHERE message_id IS NULL AND NOT dropped;
CREATE INDEX notices_at ON notices (at);

CREATE FUNCTION put_notice(of_account bigint, of_workflow bigint, of_kind text, about_subject text, once text)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO notices (account_id, channel_id, workflow_id, kind, subject, key)
    SELECT channels.account_id, channels.id, of_workflow, of_kind, about_subject, once
    FROM notice_channels AS channels
    WHERE channels.account_id = of_account AND of_kind = ANY (channels.about)
        AND (channels.workflows = '{}' OR EXISTS (
            SELECT FROM workflows
            WHERE workflows.account_id = of_account AND workflows.id = of_workflow
                AND workflows.slug = ANY (channels.workflows)))
        AND (channels.member IS NULL OR EXISTS (
            SELECT FROM members
            WHERE members.account_id = of_account AND members.username = channels.member))
    ON CONFLICT (channel_id, key) DO NOTHING
$$;

-- A run that is cleared and ends again has ended twice.
CREATE FUNCTION run_ends_are_noticed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM put_notice(NEW.account_id, NEW.workflow_id,
        CASE NEW.status WHEN 'failed' THEN 'run_failed' WHEN 'partial' THEN 'run_partial' ELSE 'run_done' END,
        'run:' || NEW.id, 'run:' || NEW.id || ':' || extract(epoch FROM NEW.completed_at)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER run_refusals_are_noticed AFTER INSERT ON runs
    FOR EACH ROW WHEN (NEW.status IN ('failed', 'partial', 'completed') AND NEW.completed_at IS NOT NULL)
    EXECUTE FUNCTION run_ends_are_noticed();
CREATE TRIGGER run_ends_are_noticed AFTER UPDATE OF status, completed_at ON runs
    FOR EACH ROW WHEN (NEW.status IN ('failed', 'partial', 'completed') AND NEW.completed_at IS NOT NULL
        AND NEW.completed_at IS DISTINCT FROM OLD.completed_at)
    EXECUTE FUNCTION run_ends_are_noticed();

-- A version that waits is told once.
CREATE FUNCTION articles_to_review_are_noticed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM put_notice(NEW.account_id, NEW.site_id, 'review_waiting', 'article:' || NEW.id,
        'article:' || NEW.id || ':' || coalesce(NEW.content_hash, ''));
    RETURN NULL;
END $$;
CREATE TRIGGER new_articles_to_review_are_noticed AFTER INSERT ON contents
    FOR EACH ROW WHEN (NEW.status = 'review') EXECUTE FUNCTION articles_to_review_are_noticed();
CREATE TRIGGER articles_to_review_are_noticed AFTER UPDATE OF status ON contents
    FOR EACH ROW WHEN (NEW.status = 'review' AND OLD.status <> 'review')
    EXECUTE FUNCTION articles_to_review_are_noticed();

CREATE FUNCTION posts_to_review_are_noticed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM put_notice(NEW.account_id, NEW.mission_id, 'review_waiting', 'post:' || NEW.id,
        'post:' || NEW.id || ':' || NEW.content_hash);
    RETURN NULL;
END $$;
CREATE TRIGGER new_posts_to_review_are_noticed AFTER INSERT ON posts
    FOR EACH ROW WHEN (NEW.status = 'pending_review') EXECUTE FUNCTION posts_to_review_are_noticed();
CREATE TRIGGER posts_to_review_are_noticed AFTER UPDATE OF status ON posts
    FOR EACH ROW WHEN (NEW.status = 'pending_review' AND OLD.status <> 'pending_review')
    EXECUTE FUNCTION posts_to_review_are_noticed();

-- A gate for the time waits for nobody.
CREATE FUNCTION gates_are_noticed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM put_notice(NEW.account_id, flow_items.flow_id, 'gate_waiting', 'gate:' || NEW.id,
        'gate:' || NEW.id || ':' || extract(epoch FROM NEW.asked_at)::text)
    FROM flow_items WHERE flow_items.account_id = NEW.account_id AND flow_items.id = NEW.item_id;
    RETURN NULL;
END $$;
CREATE TRIGGER gates_are_noticed AFTER INSERT ON gates
    FOR EACH ROW WHEN (NEW.outcome IS NULL AND NEW.by <> 'time') EXECUTE FUNCTION gates_are_noticed();
CREATE TRIGGER gates_asked_again_are_noticed AFTER UPDATE OF asked_at ON gates
    FOR EACH ROW WHEN (NEW.outcome IS NULL AND NEW.by <> 'time' AND OLD.outcome IS NOT NULL)
    EXECUTE FUNCTION gates_are_noticed();

CREATE FUNCTION unknown_publications_are_noticed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM put_notice(NEW.account_id, NEW.workflow_id, 'publication_unknown', 'publication:' || NEW.id,
        'publication:' || NEW.id || ':' || extract(epoch FROM clock_timestamp())::text);
    RETURN NULL;
END $$;
CREATE TRIGGER unknown_publications_are_noticed AFTER UPDATE OF status ON publications
    FOR EACH ROW WHEN (NEW.status = 'unknown' AND OLD.status <> 'unknown')
    EXECUTE FUNCTION unknown_publications_are_noticed();
