"""Definitions and keyword lists from YAML, CSV and the API into rows."""
