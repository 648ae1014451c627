"""What things are: definitions, items, errors, credits, prices. Pure Python and pydantic."""
