"""Whose a connection, a private host, a folder or an asset is: what accounts may name, in one rule."""
