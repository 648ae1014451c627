-- The definitions that a run goes by: {account, workflow, brand}, as they were when it was opened. NULL: a refused run, or
-- one of before this column, which goes by today's.
ALTER TABLE runs ADD COLUMN definition jsonb;

UPDATE runs SET definition = jsonb_build_object(
    'account', accounts.definition,
    'workflow', flows.definition || jsonb_build_object('status', flows.status),
    'brand', (SELECT brand.definition FROM brand_contexts AS brand WHERE brand.id = flows.brand_context_id))
FROM flows JOIN accounts ON accounts.id = flows.account_id
WHERE runs.workflow_id = flows.id AND runs.status IN ('running', 'paused');
