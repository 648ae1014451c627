"""The page of a flow: its steps as a graph, its items, and the gates where they wait."""
