from pressroom.adapters.targets.bluesky.account import BlueskySettings as Settings
from pressroom.adapters.targets.bluesky.target import BlueskyTarget as Target

__all__ = ["Settings", "Target"]
