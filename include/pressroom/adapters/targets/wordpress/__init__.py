"""WordPress over its own REST API: posts with pictures, categories and tags by name, scheduled or at once.

Needs: the site's address in host, a user in login, an application password of that user in password (see
``WordPressSettings``); the role author or editor. Fails as ``client`` says.

Every try of a piece ends at the same post, whatever became of the tries before. First the piece's mark is
looked for (see ``wire``). Where there is none, a draft with nothing but the mark is made:
the claim. When two tries make one each, both see both, and the same one counts for both. Only this draft
becomes the article, in one request, once its pictures are there. Pictures are found again by their slug.
"""

from pressroom.adapters.targets.wordpress.target import WordPress as Target
from pressroom.adapters.targets.wordpress.target import WordPressSettings as Settings

__all__ = ["Settings", "Target"]
