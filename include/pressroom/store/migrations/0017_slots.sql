-- The slot of a scheduled run (Airflow's logical date), and since when a workflow has its schedule: a new schedule starts
-- at its next slot.
ALTER TABLE runs ADD COLUMN slot timestamptz;
UPDATE runs SET slot = started_at WHERE trigger = 'scheduled';

ALTER TABLE workflows ADD COLUMN schedule text, ADD COLUMN scheduled_since timestamptz;
UPDATE workflows SET scheduled_since = sites.updated_at FROM sites WHERE sites.id = workflows.id;
UPDATE workflows SET scheduled_since = missions.updated_at FROM missions WHERE missions.id = workflows.id;
UPDATE workflows SET scheduled_since = flows.updated_at FROM flows WHERE flows.id = workflows.id;

-- When a site last ran is read from its runs.
ALTER TABLE automation_configs DROP COLUMN last_run_at;
