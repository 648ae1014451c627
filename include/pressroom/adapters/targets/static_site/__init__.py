from pressroom.adapters.targets.static_site.target import StaticSite as Target
from pressroom.adapters.targets.static_site.target import StaticSiteSettings as Settings

__all__ = ["Settings", "Target"]
