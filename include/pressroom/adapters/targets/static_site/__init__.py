"""A static site as a target: a folder that any web server serves, or any browser opens.

Every piece has a folder with ``index.html``, ``index.md`` (Markdown with YAML front matter, which keeps the
key) and its pictures; beside them stand ``index.html`` and ``rss.xml`` with all pieces. A scheduled piece is
written at once and left out of both until its time; the first call after that, ``find`` too, puts it in. Its
page can be opened before that by anyone who guesses the address.

Needs: a folder, as a path or a ``file://`` address in host (see ``StaticSiteSettings``). Fails as ``Folder``
says: TransientError when others write there, ConfigurationError when the folder cannot be written.
"""

from pressroom.adapters.targets.static_site.target import StaticSite as Target
from pressroom.adapters.targets.static_site.target import StaticSiteSettings as Settings

__all__ = ["Settings", "Target"]
