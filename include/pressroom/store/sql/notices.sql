-- The outbox of notices. Triggers put notices in (put_notice, migration 0029); what sends them is the scheduler's sweep.

-- name: notice_channel_save
-- Adds a channel of notices to the account, or changes it. What is in its outbox stays.
INSERT INTO notice_channels AS kept (account_id, name, about, workflows, member, definition)
VALUES (%(account)s, %(channel)s, %(about)s::text[], %(workflows)s::text[], %(member)s, %(definition)s)
ON CONFLICT (account_id, name) DO UPDATE
SET about = excluded.about, workflows = excluded.workflows, member = excluded.member, definition = excluded.definition
WHERE kept.account_id = %(account)s

-- name: notice_channel_delete
-- Deletes a channel of the account with all that it has not sent.
DELETE FROM notice_channels WHERE account_id = %(account)s AND name = %(channel)s

-- name: notice_channels_keep
-- Deletes the account's channels but these, with all that they have not sent.
DELETE FROM notice_channels WHERE account_id = %(account)s AND name <> ALL (%(channels)s::text[])

-- name: notice_channels
-- Returns the account's channels by name, with what waits in each and what became of its messages.
SELECT channels.id, channels.name, channels.definition,
    (SELECT count(*) FROM notices
     WHERE notices.account_id = %(account)s AND notices.channel_id = channels.id AND notices.message_id IS NULL
        AND NOT notices.dropped) AS waiting,
    (SELECT count(*) FROM notice_messages AS open
     WHERE open.account_id = %(account)s AND open.channel_id = channels.id AND open.sent_at IS NULL
        AND open.given_up_at IS NULL) AS unsent,
    (SELECT max(sent.sent_at) FROM notice_messages AS sent
     WHERE sent.account_id = %(account)s AND sent.channel_id = channels.id) AS last_sent_at,
    (SELECT failed.error FROM notice_messages AS failed
     WHERE failed.account_id = %(account)s AND failed.channel_id = channels.id AND failed.sent_at IS NULL
        AND failed.error IS NOT NULL
     ORDER BY failed.id DESC LIMIT 1) AS error
FROM notice_channels AS channels WHERE channels.account_id = %(account)s ORDER BY channels.name COLLATE "C"

-- name: notice_channel_number
-- Returns the id of the account's channel of that name.
SELECT id FROM notice_channels WHERE account_id = %(account)s AND name = %(channel)s

-- name: lock_notice_channels
-- Locks the account's channels until the transaction ends; notices can be put into them all the while. Returns their
-- definitions by name.
SELECT definition FROM notice_channels WHERE account_id = %(account)s ORDER BY name COLLATE "C" FOR NO KEY UPDATE

-- name: notice_put
-- Puts a notice that a DAG of the user's own sends into the account's outbox, for each channel that takes it. The same
-- key again changes nothing. Returns the channels.
INSERT INTO notices (account_id, channel_id, kind, subject, key, facts)
SELECT channels.account_id, channels.id, 'message', 'message:0', %(key)s, %(facts)s
FROM notice_channels AS channels
WHERE channels.account_id = %(account)s AND 'message' = ANY (channels.about)
    AND (%(channel)s::text IS NULL OR channels.name = %(channel)s)
ON CONFLICT (channel_id, key) DO NOTHING
RETURNING channel_id

-- name: notices_of_group
-- Locks the notices of a kind that wait for a channel, the oldest first, and returns them with what they are about now.
-- `state`: open; over: nobody needs to hear of it any more; later: not yet.
SELECT waiting.id, waiting.subject, waiting.at, waiting.facts, waiting.workflow_id, workflows.kind AS workflow_kind,
    coalesce(sites.definition ->> 'name', missions.definition ->> 'name', flows.definition ->> 'name') AS workflow_name,
    about.title, about.reason,
    CASE WHEN waiting.kind IN ('cap_near', 'message') THEN 'open' ELSE coalesce(about.state, 'over') END AS state
FROM (
    SELECT id, subject, at, facts, workflow_id, kind, split_part(subject, ':', 1) AS thing,
        split_part(subject, ':', 2)::bigint AS number
    FROM notices
    WHERE account_id = %(account)s AND channel_id = %(channel)s AND kind = %(kind)s AND message_id IS NULL
        AND NOT dropped
    ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) AS waiting
LEFT JOIN workflows ON workflows.account_id = %(account)s AND workflows.id = waiting.workflow_id
LEFT JOIN sites ON sites.account_id = %(account)s AND sites.id = waiting.workflow_id
LEFT JOIN missions ON missions.account_id = %(account)s AND missions.id = waiting.workflow_id
LEFT JOIN flows ON flows.account_id = %(account)s AND flows.id = waiting.workflow_id
LEFT JOIN LATERAL (
    SELECT NULL AS title, runs.error_message AS reason,
        CASE WHEN waiting.kind = CASE runs.status
            WHEN 'failed' THEN 'run_failed' WHEN 'partial' THEN 'run_partial' WHEN 'completed' THEN 'run_done' END
            THEN 'open' ELSE 'over' END AS state
    FROM runs WHERE waiting.thing = 'run' AND runs.account_id = %(account)s AND runs.id = waiting.number
    UNION ALL
    SELECT contents.title, NULL, CASE contents.status WHEN 'review' THEN 'open' ELSE 'over' END
    FROM contents WHERE waiting.thing = 'article' AND contents.account_id = %(account)s AND contents.id = waiting.number
    UNION ALL
    SELECT left(posts.parts[1], 200), NULL, CASE posts.status WHEN 'pending_review' THEN 'open' ELSE 'over' END
    FROM posts WHERE waiting.thing = 'post' AND posts.account_id = %(account)s AND posts.id = waiting.number
    UNION ALL
    SELECT coalesce(nullif(gates.subject, ''), flow_items.source ->> 'title', flow_items.source_id), NULL,
        CASE WHEN gates.outcome IS NOT NULL OR flow_items.status <> 'active' THEN 'over'
            WHEN EXISTS (SELECT FROM open_gates WHERE open_gates.account_id = %(account)s AND open_gates.id = gates.id)
            THEN 'open' ELSE 'later' END
    FROM gates JOIN flow_items ON flow_items.account_id = %(account)s AND flow_items.id = gates.item_id
    WHERE waiting.thing = 'gate' AND gates.account_id = %(account)s AND gates.id = waiting.number
    UNION ALL
    SELECT publications.content || ' at ' || publications.target, nullif(publications.error, ''),
        CASE publications.status WHEN 'unknown' THEN 'open' ELSE 'over' END
    FROM publications
    WHERE waiting.thing = 'publication' AND publications.account_id = %(account)s AND publications.id = waiting.number
) AS about ON true
ORDER BY waiting.id

-- name: notices_drop
-- Takes notices out of the outbox that nobody needs to hear of any more.
UPDATE notices SET dropped = true WHERE account_id = %(account)s AND id = ANY (%(notices)s::bigint[])

-- name: notices_drop_group
-- Takes all that waits of a kind for a channel out of the outbox.
UPDATE notices SET dropped = true
WHERE account_id = %(account)s AND channel_id = %(channel)s AND kind = %(kind)s AND message_id IS NULL

-- name: notice_message_insert
-- Inserts a message that is due now. Returns its id.
INSERT INTO notice_messages (account_id, channel_id, kind, recipient, subject, body, data)
VALUES (%(account)s, %(channel)s, %(kind)s, %(recipient)s, %(subject)s, %(body)s, %(data)s)
RETURNING id

-- name: notices_told
-- Records which message tells these notices.
UPDATE notices SET message_id = %(message)s WHERE account_id = %(account)s AND id = ANY (%(notices)s::bigint[])

-- name: notice_message_sent
-- Records that a message is sent, unless another worker has it meanwhile.
UPDATE notice_messages SET sent_at = now(), error = NULL
WHERE account_id = %(account)s AND id = %(message)s AND attempts = %(attempt)s AND sent_at IS NULL

-- name: notice_message_failed
-- Records why a message could not be sent; it is tried again after `wait`. One that is older than `patience` is given up.
-- Returns whether it is, unless another worker has it meanwhile.
UPDATE notice_messages
SET error = %(error)s, lease_until = '-infinity', due_at = now() + %(wait)s::interval,
    given_up_at = CASE WHEN created_at < now() - %(patience)s::interval THEN now() END
WHERE account_id = %(account)s AND id = %(message)s AND attempts = %(attempt)s AND sent_at IS NULL
RETURNING given_up_at IS NOT NULL

-- name: notice_messages
-- Returns the account's messages, newest first: all, or one.
SELECT messages.id, channels.name AS channel, messages.kind, messages.recipient, messages.subject, messages.created_at,
    messages.due_at, messages.attempts, messages.sent_at, messages.given_up_at, messages.error
FROM notice_messages AS messages
JOIN notice_channels AS channels ON channels.account_id = %(account)s AND channels.id = messages.channel_id
WHERE messages.account_id = %(account)s AND (%(before)s::bigint IS NULL OR messages.id < %(before)s)
    AND (%(message)s::bigint IS NULL OR messages.id = %(message)s)
ORDER BY messages.id DESC LIMIT %(limit)s

-- name: member_names
-- Returns the names of the account's members.
SELECT username FROM members WHERE account_id = %(account)s ORDER BY username

-- name: own_workflow_slugs
-- Returns the slugs of the account's workflows.
SELECT slug FROM workflows WHERE account_id = %(account)s ORDER BY slug COLLATE "C"
