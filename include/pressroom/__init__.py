"""Pressroom: a content production line for Apache Airflow."""
