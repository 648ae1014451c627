"""Bluesky: posts in an account's repository at its server, through the AT protocol.

Needs: the account's handle in login, an app password in password; in host the account's server, when that is
not Bluesky's own (see ``BlueskySettings``).

A post's record key is made of the piece's key, so one piece is one record however often it is sent:
publishing twice writes the same record again, ``find`` reads that very record, and no lost answer can make a
second post. Fails as ``adapters.http.errors`` says; ``account`` adds what the protocol says by names.
"""

from pressroom.adapters.targets.bluesky.account import BlueskySettings as Settings
from pressroom.adapters.targets.bluesky.target import BlueskyTarget as Target

__all__ = ["Settings", "Target"]
