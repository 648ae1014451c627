"""Channels that bring notices to people: e-mail, Slack, signed webhooks."""
