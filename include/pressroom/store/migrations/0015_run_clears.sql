-- A task of an ended run takes the run up again only when Airflow was told to repeat it: when its DAG run was cleared more
-- often than at the run's last opening.
ALTER TABLE runs ADD COLUMN clears integer NOT NULL DEFAULT 0;
