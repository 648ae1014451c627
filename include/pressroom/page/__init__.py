"""The page: what content teams run and review the operation with, inside Airflow's own UI."""
