"""The step pipeline: what a flow's steps do with an item."""
