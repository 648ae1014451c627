"""Definitions on their way from YAML and CSV files into rows, and from rows to whoever works by them."""
