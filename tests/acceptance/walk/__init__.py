"""A walk over pairs of a run's state and a button: whatever is pressed, the run ends as the table says."""
