-- Somebody marked the DAG run in Airflow, as failed or as success, while the run was live.
ALTER TABLE runs ADD COLUMN marked text CHECK (marked IN ('failed', 'success'));

-- A run's end is shown in Airflow once its DAG run has ended too. Runs that ended before count as shown.
ALTER TABLE runs ADD COLUMN shown boolean NOT NULL DEFAULT true;
CREATE INDEX runs_to_show ON runs (id) WHERE NOT shown;
