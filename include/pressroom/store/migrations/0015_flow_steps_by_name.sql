-- An item's place in its flow is the name of a step: a position means another step as soon as the list is edited.
ALTER TABLE flow_items RENAME COLUMN step TO step_position;
ALTER TABLE flow_items ADD COLUMN step text;
UPDATE flow_items SET step = coalesce(
    steps.list -> flow_items.step_position ->> 'name',
    steps.list -> -1 ->> 'name',
    'unknown')
FROM (
    SELECT runs.id AS run_id, coalesce(runs.definition -> 'workflow' -> 'steps', flows.definition -> 'steps') AS list
    FROM runs JOIN flows ON flows.id = runs.workflow_id
) AS steps
WHERE steps.run_id = flow_items.run_id;
ALTER TABLE flow_items ALTER COLUMN step SET NOT NULL, ADD CHECK (step <> '');
ALTER TABLE flow_items DROP COLUMN step_position;

-- How often its DAG run had been cleared when that was last heard: a further clear takes the item back to the cleared
-- step. NULL: the next clear is one of Pressroom's own, which takes items up where they are.
ALTER TABLE flow_items ADD COLUMN heard_clears integer DEFAULT 0;

-- The items of ended runs that were left where they were. A run that is opened again takes failed items up again.
UPDATE flow_items SET status = 'failed', reason = 'its run ended before this step', ended_at = now()
FROM runs
WHERE runs.id = flow_items.run_id AND runs.status NOT IN ('running', 'paused') AND flow_items.status = 'active';
DELETE FROM flow_claims USING flow_items
WHERE flow_items.id = flow_claims.item_id AND flow_items.status = 'failed' AND flow_claims.committed_at IS NULL;

-- The gates that an answer can open: of items that are there, in live runs.
CREATE VIEW open_gates AS
SELECT gates.id, gates.account_id, items.run_id, gates.task, gates.by
FROM gates
JOIN flow_items AS items ON items.account_id = gates.account_id AND items.id = gates.item_id
JOIN runs ON runs.account_id = items.account_id AND runs.id = items.run_id
WHERE gates.outcome IS NULL AND items.status = 'active' AND items.step = gates.step
    AND runs.status IN ('running', 'paused') AND NOT runs.cancel_requested;
