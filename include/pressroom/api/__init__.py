"""Pressroom's own HTTP routes, inside Airflow's API server. Airflow-free: what they need of it is a port."""
