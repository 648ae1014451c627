"""X: posts through its API v2, as an account.

Needs: an access token in password, and for OAuth 1.0a three more secrets in extra (see ``XSettings``).
A post has no room for a key of ours. X refuses a text that the account posted lately, and ``find`` reads the
account's posts of the last days and takes the one with the same text: two pieces with one text are one post.

Fails as ``adapters.http.errors`` says, and besides::

    403 to a post, for a text that is there   no error: the post that is there is the answer
    403 to a post, without a type of X's own  PermanentError: it is about this post
"""

from pressroom.adapters.targets.x.account import XSettings as Settings
from pressroom.adapters.targets.x.target import XTarget as Target

__all__ = ["Settings", "Target"]
