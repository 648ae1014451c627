"""The only code that imports Airflow: it turns pipelines and definitions into DAGs."""
