"""The pipelines: lists of stages, each stage pure but for its three functions."""
