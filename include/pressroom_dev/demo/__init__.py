"""Demonstrations on this machine: one module for each, with what they share in `start`."""
