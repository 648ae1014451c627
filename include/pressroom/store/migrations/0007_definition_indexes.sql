-- Definitions in pages --------------------------------------------------------------------------

-- Whether a run is live: asked of every workflow in a list, and by the dag files.
CREATE INDEX runs_live ON runs (workflow_id) WHERE status IN ('running', 'paused');
-- What a mission has cost so far, read from the index alone.
CREATE INDEX ledger_costs_of_workflow ON ledger (account_id, workflow_id) INCLUDE (cents) WHERE kind = 'cost';
CREATE INDEX insights_mission ON insights (mission_id, id DESC);

-- Who uses a brand context.
CREATE INDEX sites_brand ON sites (brand_context_id) WHERE brand_context_id IS NOT NULL;
CREATE INDEX missions_brand ON missions (brand_context_id) WHERE brand_context_id IS NOT NULL;
CREATE INDEX flows_brand ON flows (brand_context_id) WHERE brand_context_id IS NOT NULL;
