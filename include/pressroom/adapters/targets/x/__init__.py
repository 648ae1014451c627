from pressroom.adapters.targets.x.account import XSettings as Settings
from pressroom.adapters.targets.x.target import XTarget as Target

__all__ = ["Settings", "Target"]
