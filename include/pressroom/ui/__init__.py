"""The pages: templates, static files."""
