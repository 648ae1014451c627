from pressroom.adapters.targets.wordpress.target import WordPress as Target
from pressroom.adapters.targets.wordpress.target import WordPressSettings as Settings

__all__ = ["Settings", "Target"]
