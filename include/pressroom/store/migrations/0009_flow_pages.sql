-- Pages of what flows work on, and of what failed.
CREATE INDEX flow_items_of_flow ON flow_items (account_id, flow_id, id DESC);
CREATE INDEX item_failures_account ON item_failures (account_id, at DESC, workflow_id DESC, stage DESC, item DESC);
