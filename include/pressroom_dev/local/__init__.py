"""The local runner: Postgres, a language model and Airflow's components as child processes of one command.

Nothing in here imports Airflow; it only starts processes, hands them their environment and waits until they
are well.
"""
