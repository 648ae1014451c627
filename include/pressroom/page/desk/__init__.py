"""The review: what waits for a person, everything about it, and the decisions."""
