"""Notices: messages that bring people to the page."""
