"""What all views of the page share."""
