-- The outbox of notices as the scheduler's sweep sees it: over all accounts.

-- name: notices_of_caps
-- Puts a notice for each cap of which at least `share` is used, into each channel that takes it: once a month, for a
-- whole budget and for a run once. Over all accounts.
WITH listening AS (
    SELECT id, account_id, workflows FROM notice_channels WHERE 'cap_near' = ANY (about)
), month AS (
    SELECT days.account_id, days.key, days.cents
    FROM ledger_days AS days
    WHERE days.account_id IN (SELECT account_id FROM listening) AND days.by = 'workflow_month'
        AND days.day = date_trunc('month', now() AT TIME ZONE 'UTC')::date
), definition AS (
    SELECT workflows.account_id, workflows.id, workflows.slug,
        (coalesce(sites.definition, missions.definition, flows.definition) #>> '{caps,month_cents}')::numeric AS month_cap,
        (coalesce(sites.definition, missions.definition, flows.definition) #>> '{caps,run_cents}')::numeric AS run_cap,
        (missions.definition #>> '{constraints,budget_cents}')::numeric AS budget
    FROM workflows
    LEFT JOIN sites ON sites.id = workflows.id
    LEFT JOIN missions ON missions.id = workflows.id
    LEFT JOIN flows ON flows.id = workflows.id
    WHERE workflows.account_id IN (SELECT account_id FROM listening)
), whole AS (
    SELECT days.account_id, days.key, sum(days.cents) AS cents
    FROM ledger_days AS days
    JOIN definition ON definition.account_id = days.account_id AND definition.id::text = days.key
    WHERE days.by = 'workflow_month' AND definition.budget IS NOT NULL
    GROUP BY days.account_id, days.key
), used (account_id, workflow_id, slug, subject, key, what, cents, cap) AS (
    SELECT definition.account_id, definition.id, definition.slug, 'workflow:' || definition.id,
        'cap:workflow:' || definition.id || to_char(now() AT TIME ZONE 'UTC', ':YYYY-MM'), 'month', month.cents,
        definition.month_cap
    FROM definition
    JOIN month ON month.account_id = definition.account_id AND month.key = definition.id::text
    WHERE definition.month_cap IS NOT NULL
    UNION ALL
    SELECT definition.account_id, definition.id, definition.slug, 'workflow:' || definition.id,
        'cap:budget:' || definition.id, 'budget', whole.cents, definition.budget
    FROM definition
    JOIN whole ON whole.account_id = definition.account_id AND whole.key = definition.id::text
    WHERE definition.budget IS NOT NULL
    UNION ALL
    SELECT definition.account_id, definition.id, definition.slug, 'run:' || runs.id, 'cap:run:' || runs.id, 'run',
        (SELECT sum(ledger.cents) FROM ledger WHERE ledger.account_id = runs.account_id AND ledger.run_id = runs.id),
        definition.run_cap
    FROM definition
    JOIN runs ON runs.account_id = definition.account_id AND runs.workflow_id = definition.id
        AND runs.status IN ('running', 'paused')
    WHERE definition.run_cap IS NOT NULL
    UNION ALL
    SELECT accounts.id, NULL, NULL, 'account:' || accounts.id,
        'cap:account' || to_char(now() AT TIME ZONE 'UTC', ':YYYY-MM'), 'account_month',
        (SELECT sum(month.cents) FROM month WHERE month.account_id = accounts.id),
        (accounts.definition #>> '{caps,month_cents}')::numeric
    FROM accounts
    WHERE accounts.id IN (SELECT account_id FROM listening) AND accounts.definition #>> '{caps,month_cents}' IS NOT NULL
    UNION ALL
    SELECT accounts.id, NULL, NULL, 'account:' || accounts.id, 'cap:account:total', 'account_total',
        accounts.spent_cents, (accounts.definition #>> '{caps,total_cents}')::numeric
    FROM accounts
    WHERE accounts.id IN (SELECT account_id FROM listening) AND accounts.definition #>> '{caps,total_cents}' IS NOT NULL
)
INSERT INTO notices (account_id, channel_id, workflow_id, kind, subject, key, facts)
SELECT used.account_id, listening.id, used.workflow_id, 'cap_near', used.subject, used.key,
    jsonb_build_object('what', used.what, 'cents', used.cents, 'cap', used.cap)
FROM used JOIN listening ON listening.account_id = used.account_id
    AND (listening.workflows = '{}' OR used.slug = ANY (listening.workflows))
WHERE used.cents >= used.cap * %(share)s::numeric
ON CONFLICT (channel_id, key) DO NOTHING

-- name: notices_waiting
-- Returns what waits in the outbox by channel and kind, over all accounts. `last_at`: when a message of the kind was last
-- made for the channel. `rests`: the member it is for is none any more.
SELECT channels.account_id, accounts.slug AS account, channels.id AS channel, channels.definition, waiting.kind,
    (SELECT max(messages.created_at) FROM notice_messages AS messages
     WHERE messages.channel_id = channels.id AND messages.kind = waiting.kind) AS last_at,
    channels.member IS NOT NULL AND NOT EXISTS (
        SELECT FROM members
        WHERE members.account_id = channels.account_id AND members.username = channels.member) AS rests
FROM (
    SELECT channel_id, kind FROM notices WHERE message_id IS NULL AND NOT dropped GROUP BY channel_id, kind
) AS waiting
JOIN notice_channels AS channels ON channels.id = waiting.channel_id
JOIN accounts ON accounts.id = channels.account_id
ORDER BY channels.id, waiting.kind

-- name: notice_messages_due
-- Returns whether a message of any account can be sent now.
SELECT EXISTS (
    SELECT FROM notice_messages
    WHERE sent_at IS NULL AND given_up_at IS NULL AND due_at <= now() AND lease_until < now())

-- name: notice_messages_claim
-- Claims messages that are due, of any account and at most one of each channel: they are this worker's until the lease
-- is over. Returns them with their channels.
UPDATE notice_messages AS messages
SET lease_until = now() + %(lease)s::interval, attempts = messages.attempts + 1
FROM (
    SELECT open.id FROM notice_messages AS open
    WHERE open.sent_at IS NULL AND open.given_up_at IS NULL AND open.due_at <= now() AND open.lease_until < now()
        AND open.id IN (
            SELECT DISTINCT ON (channel_id) id FROM notice_messages
            WHERE sent_at IS NULL AND given_up_at IS NULL AND due_at <= now() AND lease_until < now()
            ORDER BY channel_id, attempts, id)
    ORDER BY open.attempts, open.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) AS due, notice_channels AS channels, accounts
WHERE messages.id = due.id AND channels.id = messages.channel_id AND accounts.id = messages.account_id
RETURNING messages.id, messages.account_id, messages.kind, messages.recipient, messages.uid::text AS uid,
    messages.subject, messages.body, messages.data, messages.attempts, messages.created_at, channels.definition

-- name: notices_forget
-- Deletes notices and messages of any account that are older than `age`. Notices of caps stay: a cap of a whole budget or
-- of a run is told once.
WITH forgotten AS (DELETE FROM notice_messages WHERE created_at < now() - %(age)s::interval)
DELETE FROM notices WHERE at < now() - %(age)s::interval AND kind <> 'cap_near'
