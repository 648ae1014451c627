"""The pages of a mission: its calendar, what it has reached, and what it has learned."""
