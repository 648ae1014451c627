-- Items of flows, their claims on source ids, their packets, and their gates.

-- name: flow_claimed
-- Returns which of these ids of a feed are claimed. An entry that was claimed by an id which others share now is also
-- returned as `domain.packets.shared_id` names it.
SELECT named.id FROM flow_claims AS claims
LEFT JOIN flow_items AS items ON items.account_id = claims.account_id AND items.id = claims.item_id
CROSS JOIN LATERAL (VALUES
    (claims.source_id),
    (left(claims.source_id, 478) || ' #sha:' || left(encode(sha256(convert_to(
        (items.source ->> 'url') || E'\x1f' || (items.source ->> 'title'), 'UTF8')), 'hex'), 16))
) AS named (id)
WHERE claims.account_id = %(account)s AND claims.flow_id = %(flow)s AND claims.feed = %(feed)s
    AND claims.source_id = ANY(%(ids)s::text[]) AND named.id IS NOT NULL

-- name: flow_refused
-- Returns which of these ids of a feed belong to items that were refused, and may be tried again.
SELECT DISTINCT source_id FROM flow_items
WHERE account_id = %(account)s AND flow_id = %(flow)s AND feed = %(feed)s AND source_id = ANY(%(ids)s::text[]) AND refused

-- name: flow_refusals
-- Returns how often an item's source id was refused before.
SELECT count(*) FROM flow_items
WHERE account_id = %(account)s AND flow_id = %(flow)s AND feed = %(feed)s AND source_id = %(source_id)s AND refused
    AND id <> %(item)s

-- name: flow_forgive
-- Has items that were given up wait again, of one step or of all.
WITH forgiven AS (
    UPDATE flow_items SET refused = false
    WHERE account_id = %(account)s AND flow_id = %(workflow)s AND refused
        AND (%(stage)s::text IS NULL OR step = %(stage)s)
    RETURNING id
)
DELETE FROM flow_claims
WHERE account_id = %(account)s AND flow_id = %(workflow)s AND item_id IN (SELECT id FROM forgiven)

-- name: flow_feed_begin
-- Records that a flow reads a feed. No row when it has read it before. `all`: what is there already is taken up in time;
-- else what the source dates before `old_before`, or before now, is not.
INSERT INTO flow_feeds (account_id, flow_id, feed, old_before)
VALUES (%(account)s, %(flow)s, %(feed)s,
    CASE WHEN NOT %(all)s::boolean THEN coalesce(%(old_before)s::timestamptz, now()) END)
ON CONFLICT (flow_id, feed) DO NOTHING

-- name: flow_feed_old
-- Returns before which date what a feed shows was there when the flow began; null when that does not matter.
SELECT old_before FROM flow_feeds
WHERE account_id = %(account)s AND flow_id = %(flow)s AND feed = %(feed)s

-- name: flow_claim_old
-- Claims source ids that were there when the flow began, for no item.
INSERT INTO flow_claims (account_id, flow_id, feed, source_id, committed_at)
SELECT %(account)s::bigint, %(flow)s::bigint, %(feed)s::text, id, now() FROM unnest(%(ids)s::text[]) AS old (id)
ON CONFLICT (flow_id, feed, source_id) DO NOTHING

-- name: flow_item_insert
-- Inserts an item for an unclaimed source id of a feed. Returns its id; no row when the source id is claimed.
INSERT INTO flow_items (account_id, flow_id, run_id, feed, source_id, position, source, step)
SELECT %(account)s::bigint, %(flow)s::bigint, %(run)s::bigint, %(feed)s::text, %(source_id)s::text,
    %(position)s::integer, %(source)s::jsonb, %(step)s::text
WHERE NOT EXISTS (
    SELECT FROM flow_claims
    WHERE account_id = %(account)s AND flow_id = %(flow)s AND feed = %(feed)s AND source_id = %(source_id)s)
ON CONFLICT (run_id, source_id) DO NOTHING
RETURNING id

-- name: flow_claim
-- Claims a source id of a feed for an item. No row when it is claimed.
INSERT INTO flow_claims (account_id, flow_id, feed, source_id, item_id)
VALUES (%(account)s, %(flow)s, %(feed)s, %(source_id)s, %(item)s)
ON CONFLICT (flow_id, feed, source_id) DO NOTHING

-- name: claim_commit
-- Makes an item's claim permanent.
UPDATE flow_claims SET committed_at = now()
WHERE account_id = %(account)s AND flow_id = %(flow)s AND item_id = %(item)s AND committed_at IS NULL

-- name: claim_release
-- Deletes an item's claim unless it is permanent.
DELETE FROM flow_claims
WHERE account_id = %(account)s AND flow_id = %(flow)s AND item_id = %(item)s AND committed_at IS NULL

-- name: flow_items_of_run
-- Returns the ids of a run's items by position.
SELECT id FROM flow_items WHERE account_id = %(account)s AND run_id = %(run)s ORDER BY position

-- name: flow_items_at_step
-- Returns the run's items at a step, with their packets and what gates approved: gate → the run's steps then. Items that
-- failed there are included once the run was cleared, unless another item has their claim.
SELECT items.id, items.feed, items.source_id, items.source, items.step,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'step', p.step, 'kind', p.kind, 'data', p.data)
        ORDER BY p.id), '[]')
     FROM packets AS p WHERE p.account_id = %(account)s AND p.item_id = items.id) AS packets,
    (SELECT coalesce(jsonb_object_agg(gates.step, gates.approved_steps), '{}')
     FROM gates WHERE gates.account_id = %(account)s AND gates.item_id = items.id
        AND gates.outcome = 'approve' AND gates.by <> 'time') AS approved
FROM flow_items AS items
JOIN runs ON runs.account_id = items.account_id AND runs.id = items.run_id
WHERE items.account_id = %(account)s AND items.run_id = %(run)s AND items.step = %(step)s
    AND items.id = ANY(%(ids)s::bigint[])
    AND (items.status = 'active' OR (items.status = 'failed' AND items.ended_at < runs.opened_at AND NOT EXISTS (
        SELECT FROM flow_claims AS claims
        WHERE claims.account_id = %(account)s AND claims.flow_id = items.flow_id AND claims.feed = items.feed
            AND claims.source_id = items.source_id AND claims.item_id <> items.id)))
ORDER BY items.position

-- name: flow_item_lock
-- Locks an item at its step and sets it to active. A failed item claims its source id again; no row when another item
-- has that claim.
WITH item AS (
    SELECT account_id, flow_id, feed, source_id, id FROM flow_items
    WHERE account_id = %(account)s AND run_id = %(run)s AND id = %(item)s AND step = %(step)s
        AND status IN ('active', 'failed')
    FOR NO KEY UPDATE
), claimed AS (
    INSERT INTO flow_claims AS c (account_id, flow_id, feed, source_id, item_id)
    SELECT account_id, flow_id, feed, source_id, id FROM item
    ON CONFLICT (flow_id, feed, source_id) DO UPDATE SET item_id = excluded.item_id
    WHERE c.account_id = %(account)s AND c.item_id = excluded.item_id
    RETURNING item_id
)
UPDATE flow_items SET status = 'active', ended_at = NULL, reason = '', refused = false
WHERE account_id = %(account)s AND id IN (SELECT item_id FROM claimed)

-- name: packet_append
-- Inserts a packet at the end of an item's list.
INSERT INTO packets (account_id, item_id, id, step, kind, data)
SELECT %(account)s::bigint, %(item)s::bigint, coalesce(max(id), 0) + 1, %(step)s::text, %(kind)s::text, %(data)s::jsonb
FROM packets WHERE account_id = %(account)s AND item_id = %(item)s

-- name: flow_item_step
-- Moves an item to a step.
UPDATE flow_items SET step = %(step)s WHERE account_id = %(account)s AND run_id = %(run)s AND id = %(item)s

-- name: flow_item_end
-- Ends an item with a status and a reason. `refused`: it failed for a reason of its own.
UPDATE flow_items SET status = %(status)s, reason = %(reason)s, ended_at = now(), refused = %(refused)s
WHERE account_id = %(account)s AND run_id = %(run)s AND id = %(item)s

-- name: flow_waiting
-- Returns the number of active items of live runs by step, as one JSON object.
SELECT coalesce(jsonb_object_agg(step, waiting), '{}') FROM (
    SELECT items.step, count(*) AS waiting FROM flow_items AS items
    JOIN runs ON runs.account_id = items.account_id AND runs.id = items.run_id
    WHERE items.account_id = %(account)s AND items.flow_id = %(flow)s AND items.status = 'active'
        AND runs.status IN ('running', 'paused')
    GROUP BY items.step) AS counted

-- name: flow_places
-- Returns the number of a run's items by step: of those in work, and of an ended run of those that failed.
SELECT items.step, count(*) AS items FROM flow_items AS items
JOIN runs ON runs.account_id = items.account_id AND runs.id = items.run_id
WHERE items.account_id = %(account)s AND items.run_id = %(run)s
    AND items.status = CASE WHEN runs.status IN ('running', 'paused') THEN 'active' ELSE 'failed' END
GROUP BY items.step ORDER BY items.step

-- name: flow_item_place
-- Returns where an item of a run is. `passed`: whether it went through that step before.
SELECT items.id, coalesce(nullif(items.source ->> 'title', ''), items.source_id) AS title, items.step, items.status,
    items.heard_clears, EXISTS (
        SELECT FROM packets
        WHERE packets.account_id = %(account)s AND packets.item_id = items.id AND packets.step = %(step)s) AS passed
FROM flow_items AS items
WHERE items.account_id = %(account)s AND items.run_id = %(run)s AND items.id = %(item)s

-- name: flow_item_take_back
-- Sets an item to active at a step, after `clear` clears of its DAG run. No row when that was done, or when another
-- item has its claim.
WITH item AS (
    SELECT account_id, flow_id, feed, source_id, id FROM flow_items
    WHERE account_id = %(account)s AND run_id = %(run)s AND id = %(item)s AND heard_clears < %(clear)s
    FOR NO KEY UPDATE
), claimed AS (
    INSERT INTO flow_claims AS c (account_id, flow_id, feed, source_id, item_id)
    SELECT account_id, flow_id, feed, source_id, id FROM item
    ON CONFLICT (flow_id, feed, source_id) DO UPDATE SET item_id = excluded.item_id
    WHERE c.account_id = %(account)s AND c.item_id = excluded.item_id
    RETURNING item_id
)
UPDATE flow_items
SET status = 'active', ended_at = NULL, reason = '', refused = false, step = %(step)s, heard_clears = %(clear)s
WHERE account_id = %(account)s AND id IN (SELECT item_id FROM claimed)

-- name: flow_items_hear_clear
-- Records that a clear of the DAG run, the `clear`th, takes up one item, or all of the run, where they are.
UPDATE flow_items SET heard_clears = greatest(heard_clears, %(clear)s::integer)
WHERE account_id = %(account)s AND run_id = %(run)s AND (%(item)s::bigint IS NULL OR id = %(item)s)

-- name: flow_items_expect_clear
-- Records that the next clear of the run's DAG run takes up its items where they are.
UPDATE flow_items SET heard_clears = NULL WHERE account_id = %(account)s AND run_id = %(run)s

-- name: gates_reset
-- Takes the answers back that an item has at some steps.
UPDATE gates SET outcome = NULL, answer = NULL, answered_by = NULL, answered_at = NULL, asked_at = now()
WHERE account_id = %(account)s AND item_id = %(item)s AND step = ANY(%(steps)s::text[])

-- name: flow_stage_at_end
-- Returns the stage at which a flow's run is: the first step with an active item, else the stage that was last worked on.
SELECT coalesce(
    (SELECT step.value ->> 'name'
     FROM jsonb_array_elements(runs.definition -> 'workflow' -> 'steps') WITH ORDINALITY AS step
     JOIN flow_items AS items ON items.account_id = %(account)s AND items.run_id = runs.id
        AND items.status = 'active' AND items.step = step.value ->> 'name'
     ORDER BY step.ordinality LIMIT 1),
    (SELECT stage FROM stage_results AS results
     WHERE results.account_id = %(account)s AND results.run_id = runs.id
     ORDER BY completed_at DESC NULLS LAST LIMIT 1))
FROM runs JOIN flows ON flows.account_id = runs.account_id AND flows.id = runs.workflow_id
WHERE runs.account_id = %(account)s AND runs.id = %(run)s

-- name: flow_items_left
-- Fails the active items of a run that ends, and releases their claims. Returns their ids.
WITH ended AS (
    UPDATE flow_items AS items
    SET status = 'failed', ended_at = now(), reason = CASE
        WHEN flows.definition -> 'steps' @> jsonb_build_array(jsonb_build_object('name', items.step))
            THEN format('%%s before the step %%s was done', %(why)s::text, items.step)
        ELSE format('the step %%s was taken out of the flow while the item was at it', items.step) END
    FROM flows
    WHERE items.account_id = %(account)s AND items.run_id = %(run)s AND items.status = 'active'
        AND flows.account_id = items.account_id AND flows.id = items.flow_id
    RETURNING items.id
), released AS (
    DELETE FROM flow_claims
    WHERE account_id = %(account)s AND committed_at IS NULL AND item_id IN (SELECT id FROM ended)
)
SELECT id FROM ended ORDER BY id

-- name: flow_endings
-- Returns the number of a run's items by status.
SELECT status, count(*) AS items FROM flow_items
WHERE account_id = %(account)s AND run_id = %(run)s
GROUP BY status ORDER BY status

-- name: flow_item_list
-- Returns a flow's newest items, of one run if `run` is given.
SELECT id, feed, source_id, source ->> 'title' AS title, source ->> 'url' AS url, step, status, reason, created_at,
    ended_at
FROM flow_items
WHERE account_id = %(account)s AND flow_id = %(flow)s AND (%(run)s::bigint IS NULL OR run_id = %(run)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: packets_of_item
-- Returns an item's packets in order.
SELECT id, step, kind, data, at FROM packets WHERE account_id = %(account)s AND item_id = %(item)s ORDER BY id

-- name: gate_open
-- Opens a gate. Returns its id. Opening it again (a cleared task) makes a new link and voids the old one; an answer
-- stays, except that of a failed item, which waits again.
INSERT INTO gates AS g (account_id, item_id, step, by, subject, token_hash, task, due_at, on_timeout)
VALUES (%(account)s, %(item)s, %(step)s, %(by)s, %(subject)s, %(token_hash)s, %(task)s, now() + %(timeout)s::interval,
    %(on_timeout)s)
ON CONFLICT (item_id, step) DO UPDATE
SET token_hash = excluded.token_hash, task = excluded.task, due_at = excluded.due_at, subject = excluded.subject,
    on_timeout = excluded.on_timeout, outcome = NULL, answer = NULL, answered_by = NULL, answered_at = NULL,
    asked_at = now()
WHERE g.account_id = %(account)s AND (g.outcome IS NULL OR EXISTS (
    SELECT FROM flow_items AS items
    WHERE items.account_id = %(account)s AND items.id = g.item_id AND items.status = 'failed'))
RETURNING id

-- name: gate_of_item
-- Returns an item's gate at a step. `due`: its time is over.
SELECT id, item_id, step, by, subject, due_at, on_timeout, outcome, answer, answered_by, task,
    due_at <= now() AS due
FROM gates WHERE account_id = %(account)s AND item_id = %(item)s AND step = %(step)s

-- name: gate_of_task
-- Returns the item and the step of the open gate at which a task of Airflow waits, if it was opened before `at`.
SELECT item_id, step FROM gates
WHERE account_id = %(account)s AND task = %(task)s::jsonb AND asked_at < %(at)s AND outcome IS NULL

-- name: gate_answer
-- Answers a gate, for the steps that its run goes by. No row when it is not open or its time is over. An answer that
-- waited for another one sees the other one in the row itself alone, and open_gates as it was before.
UPDATE gates SET outcome = %(outcome)s, answer = %(answer)s, answered_by = %(by)s, answered_at = now(),
    approved_steps = (
        SELECT steps FROM gate_steps WHERE gate_steps.account_id = %(account)s AND gate_steps.gate_id = gates.id)
WHERE account_id = %(account)s AND id = %(gate)s AND outcome IS NULL
    AND due_at > coalesce(%(at)s::timestamptz, now())
    AND id IN (SELECT open.id FROM open_gates AS open WHERE open.account_id = %(account)s)

-- name: gates_timed_out
-- Answers an item's gate whose time is over, by the database's clock. A gate for the time alone approves.
UPDATE gates SET outcome = CASE WHEN by = 'time' THEN 'approve' ELSE on_timeout END, answered_by = 'the time',
    answered_at = now(), answer = '{}',
    approved_steps = (
        SELECT steps FROM gate_steps WHERE gate_steps.account_id = %(account)s AND gate_steps.gate_id = gates.id)
WHERE account_id = %(account)s AND item_id = %(item)s AND step = %(step)s AND outcome IS NULL AND due_at <= now()

-- name: handed_answer_insert
-- Keeps an answer that is about to be given to Airflow. Returns its id.
INSERT INTO handed_answers (account_id, gate_id, actor, outcome, text, airflow_user)
VALUES (%(account)s, %(gate)s, %(actor)s, %(outcome)s, %(text)s, %(airflow_user)s)
RETURNING id

-- name: handed_answer
-- Returns who gave this answer to a gate through Pressroom since it was opened last, the first one first.
SELECT handed.id, handed.actor FROM handed_answers AS handed
JOIN gates ON gates.account_id = handed.account_id AND gates.id = handed.gate_id
WHERE handed.account_id = %(account)s AND handed.gate_id = %(gate)s AND handed.outcome = %(outcome)s
    AND handed.text = %(text)s AND handed.airflow_user = %(airflow_user)s AND handed.at >= gates.asked_at
ORDER BY handed.id

-- name: handed_answer_noted
-- Marks a handed answer as being on record. No row when it was already.
UPDATE handed_answers SET noted = true WHERE account_id = %(account)s AND id = %(number)s AND NOT noted
RETURNING gate_id, actor, outcome, text <> '' AS edited

-- name: may_answer
-- Returns whether a user of Airflow may answer the account's gates: one of its approvers, or an administrator.
SELECT EXISTS (
        SELECT FROM members WHERE account_id = %(account)s AND username = %(username)s AND role IN ('approver', 'owner'))
    OR EXISTS (SELECT FROM airflow_users WHERE name = %(username)s AND administers)

-- name: refusal_noted
-- Returns whether the refusal of somebody's answer is in the audit log since the answer was given.
SELECT EXISTS (
    SELECT FROM audit_log
    WHERE account_id = %(account)s AND action = 'gate.answer_refused' AND actor = %(actor)s AND target = %(target)s
        AND at >= %(since)s)

-- name: gate_respondents
-- Returns id and name of the users of Airflow who may answer the account's gates on its page. A member whom
-- `airflow_users` lacks has the name for an id, unless that reads like a number, which is somebody's id under FAB.
SELECT coalesce(users.airflow_id, may.name) AS id, may.name
FROM (
    SELECT username AS name FROM members WHERE account_id = %(account)s AND role IN ('approver', 'owner')
    UNION SELECT name FROM airflow_users WHERE administers
) AS may
LEFT JOIN airflow_users AS users ON users.name = may.name
WHERE users.name IS NOT NULL OR may.name !~ '^[0-9]+$'
ORDER BY may.name COLLATE "C"

-- name: gates_of_flow
-- Returns a flow's gates. `open_only`: only those that can be answered.
SELECT gates.id, gates.item_id, gates.step, gates.by, gates.subject, gates.due_at, gates.on_timeout, gates.outcome,
    gates.answer, gates.answered_by, gates.task, gates.due_at <= now() AS due
FROM gates JOIN flow_items AS items ON items.account_id = gates.account_id AND items.id = gates.item_id
WHERE gates.account_id = %(account)s AND items.flow_id = %(flow)s
    AND (NOT %(open_only)s::boolean
        OR gates.id IN (SELECT open.id FROM open_gates AS open WHERE open.account_id = %(account)s))
ORDER BY gates.id

-- name: gate_closed_why
-- Returns why a gate cannot be answered; null when it can.
SELECT CASE
    WHEN gates.outcome IS NOT NULL
        THEN format('this was answered already (%%s, by %%s)', gates.outcome, gates.answered_by)
    WHEN runs.cancel_requested THEN format('run %%s was cancelled', runs.id)
    WHEN runs.status NOT IN ('running', 'paused') THEN format('run %%s has ended (%%s)', runs.id, runs.status)
    WHEN items.status <> 'active' THEN format('item %%s has ended (%%s)', items.id, items.status)
    WHEN items.step <> gates.step THEN format('item %%s is at %%s, not at %%s', items.id, items.step, gates.step)
    WHEN gates.due_at <= now()
        THEN format('this has expired: its time was over at %%s UTC',
            to_char(gates.due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'))
    END
FROM gates
JOIN flow_items AS items ON items.account_id = gates.account_id AND items.id = gates.item_id
JOIN runs ON runs.account_id = items.account_id AND runs.id = items.run_id
WHERE gates.account_id = %(account)s AND gates.id = %(gate)s

-- name: approvals_of_cancelled
-- Returns the task instances of Airflow in which runs of a workflow that are being cancelled wait for a person.
SELECT gates.task FROM gates
JOIN flow_items AS items ON items.account_id = gates.account_id AND items.id = gates.item_id
JOIN runs ON runs.account_id = items.account_id AND runs.id = items.run_id
WHERE gates.account_id = %(account)s AND items.flow_id = %(workflow)s AND gates.by = 'approval'
    AND gates.outcome IS NULL AND items.status = 'active' AND items.step = gates.step
    AND runs.status IN ('running', 'paused') AND runs.cancel_requested
ORDER BY gates.id

-- name: webhook_call
-- Records a message to a flow. No row when it was recorded before.
INSERT INTO webhook_calls (account_id, flow_message) VALUES (%(account)s, %(flow_message)s) ON CONFLICT DO NOTHING

-- name: webhook_call_forget
-- Deletes one recorded message, so that it can be sent again.
DELETE FROM webhook_calls WHERE account_id = %(account)s AND flow_message = %(flow_message)s

-- name: webhook_calls_forget
-- Deletes recorded messages older than `seconds`.
DELETE FROM webhook_calls
WHERE account_id = %(account)s AND at < now() - make_interval(secs => %(seconds)s::double precision)
