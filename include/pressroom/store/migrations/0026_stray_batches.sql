-- A batch may be at work when its run is over. The scheduler's sweep looks after it.
ALTER TABLE model_batches ADD COLUMN looked_at timestamptz; -- when the sweep last had it looked at
CREATE INDEX model_batches_run ON model_batches (run_id) WHERE status NOT IN ('ended', 'refused');
