"""WordPress as a target: every try of a piece ends at the same post."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx

from pressroom.adapters.targets.article import ArticleArguments, Illustration, article_of, body_of, slug_of
from pressroom.adapters.targets.service import ServiceTarget
from pressroom.adapters.targets.wordpress.client import WordPressClient, WordPressSettings
from pressroom.adapters.targets.wordpress.library import MediaLibrary, Medium, Terms
from pressroom.adapters.targets.wordpress.wire import (
    STATUSES,
    as_html,
    claim,
    is_claim,
    is_finished,
    lacking,
    marked,
    placed,
    ranked,
    raw_content,
    timing,
    token,
    with_suffixes,
)
from pressroom.domain.errors import ConfigurationError, PermanentError, PressroomError, UnknownOutcome
from pressroom.domain.publishing import NO_SETTINGS, Content, Piece, Placed

__all__ = ["WordPress", "WordPressSettings"]

POSTS = "/wp/v2/posts"
ROUNDS = 3
WITH_ADDRESS = ("publish", "future", "private")
"""Statuses in which a post's slug counts as taken."""

Json = dict[str, Any]


class WordPress(ServiceTarget[WordPressSettings, WordPressClient]):
    """One site as a target. A post in the trash is gone: publishing its key again makes a new one."""

    handler = "wordpress"
    description = "Publishes an article, with its pictures, as a post on a WordPress site."
    arguments = ArticleArguments

    def __init__(self, settings: WordPressSettings, **others: Any) -> None:
        super().__init__(settings, **others)
        self._terms = Terms(self._api)
        self._media = MediaLibrary(self._api, self._where)

    @staticmethod
    def _client(settings: WordPressSettings, transport: httpx.AsyncBaseTransport | None) -> WordPressClient:
        return WordPressClient(settings, transport=transport)

    def from_content(self, content: Content) -> ArticleArguments:
        return ArticleArguments(**article_of(content))

    async def check(self, settings: Mapping[str, Any] = NO_SETTINGS) -> None:
        """Also checks that the user has the permissions for publishing."""
        me = await self._api.get("/wp/v2/users/me", context="edit")
        may = me.get("capabilities")
        if not isinstance(may, dict):
            raise ConfigurationError(
                f"{self._where}: the site does not say what user {self._settings.user!r} may do"
            )
        needed = ["edit_posts", "upload_files"]
        needed += ["publish_posts"] if self._settings.status == "publish" else []
        lacks = [capability for capability in needed if not may.get(capability)]
        if lacks:
            raise ConfigurationError(
                f"{self._where}: user {self._settings.user!r} may not {', '.join(lacks)}:"
                " give it the role author or editor"
            )
        if not may.get("manage_categories"):
            absent = await self._terms.absent("categories", settings.get("categories") or ())
            if absent:
                raise ConfigurationError(
                    f"{self._where}: categories: the site has no {', '.join(map(repr, absent))}, and user"
                    f" {self._settings.user!r} may make none: make it there, or give the user the role editor"
                )

    async def find(self, piece: Piece[ArticleArguments]) -> Placed | None:
        """A claim that has not become an article does not count."""
        articles = ranked(await self._marked(piece), piece.key)
        return placed(articles[0]) if articles and is_finished(articles[0], piece.key) else None

    async def publish(self, piece: Piece[ArticleArguments]) -> Placed:
        """Raises UnknownOutcome when the article, or a part of it, may exist."""
        arguments, slug = piece.arguments, self._slug(piece)
        # What is wrong with the piece shows before anything is sent.
        names = [self._media.file_name(slug, picture) for picture in piece.pictures]
        terms = await self._named(arguments)
        post, ours = await self._claimed(piece)
        first_time = not is_finished(post, piece.key)
        lacks = ""
        for _ in range(ROUNDS):
            try:
                media = [
                    await self._media.medium(piece.key, post["id"], picture, name)
                    for picture, name in zip(piece.pictures, names, strict=True)
                ]
                post, body = await self._finish(piece, post, media, terms)
            except PermanentError:
                if ours and is_claim(post, piece.key):
                    with suppress(PressroomError):  # the piece is refused, so its draft is deleted
                        await self._delete(post["id"])
                raise
            lacks = lacking(post, body)
            if not lacks:
                return placed(await self._with_own_slug(piece, post) if first_time else post)
            # WordPress passes over a picture or a term that somebody deleted a moment ago.
            self._terms.forget()
            terms = await self._named(arguments)
        raise PermanentError(
            f"{self._where}: post {post['id']} is there, but the site does not keep its {lacks}"
        )

    async def unpublish(self, external_id: str) -> bool:
        """Moves the article to the trash or, on a site without one, back to draft."""
        if not external_id.isdecimal():
            raise PermanentError(f"{self._where}: {external_id[:40]!r} is not the id of a post")
        gone = ("rest_post_invalid_id", "rest_already_trashed", "rest_trash_not_supported")
        answer = await self._api.write("DELETE", f"{POSTS}/{external_id}", allow=gone)
        if answer.get("code") == "rest_trash_not_supported":
            await self._api.write("POST", f"{POSTS}/{external_id}", {"status": "draft"})
        return True

    async def _named(self, arguments: ArticleArguments) -> dict[str, list[int]]:
        """The terms of the piece, by taxonomy."""
        return {
            "categories": await self._terms.ids("categories", arguments.categories),
            "tags": await self._terms.ids("tags", arguments.tags),
        }

    # Posts ----------------------------------------------------------------------------------------------

    async def _marked(self, piece: Piece[ArticleArguments], *, everywhere: bool = False) -> list[Json]:
        """Posts with the piece's mark: by its slug first, which an editor may have changed, then by the mark.

        A site's search can be another one that knows no comments; by the slug the post is found even then.
        """
        articles = await self._listed(slug=with_suffixes(self._slug(piece)))
        own = ranked(articles, piece.key)
        if own and is_finished(own[0], piece.key) and not everywhere:
            return own
        return own + await self._listed(search=token(piece.key))

    async def _listed(self, **by: str) -> list[Json]:
        posts = await self._api.listed(
            POSTS, status=STATUSES, context="edit", _fields="id,status,link,date_gmt,content.raw", **by
        )
        try:
            for post in posts:
                raw_content(post)
        except KeyError as error:
            raise ConfigurationError(
                f"{self._where}: the site lists posts without {error.args[0]}, so none can be recognised"
            ) from None
        return posts

    async def _claimed(self, piece: Piece[ArticleArguments]) -> tuple[Json, bool]:
        """The one post of the piece, made as a claim if there is none; and whether this call made it."""
        articles = ranked(await self._marked(piece), piece.key)
        if articles:
            await self._delete_claims(articles[1:], piece.key)
            return articles[0], False
        made = await self._api.write(
            "POST",
            POSTS,
            {
                "status": "draft",
                "title": as_html(piece.arguments.title),
                "slug": self._slug(piece),
                "content": claim(piece.key),
            },
        )
        made = self._post(made)
        articles = ranked(await self._marked(piece, everywhere=True), piece.key) or [made]
        await self._delete_claims(articles[1:], piece.key)
        return articles[0], articles[0]["id"] == made["id"]

    async def _delete_claims(self, posts: list[Json], key: str) -> None:
        for post in posts:
            if is_claim(post, key):
                await self._delete(post["id"])

    async def _finish(
        self,
        piece: Piece[ArticleArguments],
        post: Json,
        media: list[Medium],
        terms: dict[str, list[int]],
    ) -> tuple[Json, Json]:
        """Make the claim, or what was published before, the article. What is there, and what was sent."""
        arguments = piece.arguments
        finished = is_finished(post, piece.key)
        pictures = [
            Illustration(picture.url, medium.url, medium.alt, f"wp-image-{medium.id}")
            for picture, medium in zip(piece.pictures, media, strict=True)
        ]
        fields = {
            "title": as_html(arguments.title),
            "content": marked(body_of(arguments.html, pictures), piece.key),
            "excerpt": as_html(arguments.excerpt or arguments.meta_description),
            "meta": self._meta(arguments),
            # The address of what is there stays as it is: people may have linked to it.
            "slug": "" if finished else self._slug(piece),
            **terms,
            "featured_media": media[0].id if media else None,
        }
        when = timing(
            self._settings.status, piece.at, self._now(), str(post.get("status")) if finished else None
        )
        # What a piece says nothing of is left as it is.
        body = {**{name: value for name, value in fields.items() if value}, **when}
        answer = await self._api.write("POST", f"{POSTS}/{post['id']}", body)
        return self._post(answer), body

    def _meta(self, arguments: ArticleArguments) -> Json:
        """The fields of a post that plugins have."""
        name, text = self._settings.meta_description_field, arguments.meta_description or arguments.excerpt
        return {name: text} if name and text else {}

    async def _with_own_slug(self, piece: Piece[ArticleArguments], post: Json) -> Json:
        """The post, with a slug that no older post has.

        WordPress looks for a free slug and then writes it, so two posts of the same moment can get the same
        one, and one of them is out of reach. WordPress chooses another when it is asked again.
        """
        for _ in range(ROUNDS):
            slug = str(post.get("slug") or "")
            if not slug or post["status"] not in WITH_ADDRESS:
                break
            same = await self._api.listed(POSTS, slug=slug, status=",".join(WITH_ADDRESS), _fields="id")
            if all(other["id"] >= post["id"] for other in same):
                break
            answer = await self._api.write("POST", f"{POSTS}/{post['id']}", {"slug": self._slug(piece)})
            post = self._post(answer)
        return post

    def _post(self, answer: Json) -> Json:
        """The answer to a post that was written. Raises UnknownOutcome when it is something else."""
        try:
            raw_content(answer)
            return {**answer, "id": int(answer["id"]), "status": str(answer["status"])}
        except (KeyError, TypeError, ValueError):
            raise UnknownOutcome(f"{self._where}: WordPress answered, but not with the post") from None

    def _slug(self, piece: Piece[ArticleArguments]) -> str:
        return slug_of(piece.arguments, piece.key)

    async def _delete(self, id: int) -> None:
        # The last of these also says that somebody else is deleting it at this moment.
        gone = ("rest_post_invalid_id", "rest_already_trashed", "rest_cannot_delete")
        await self._api.write("DELETE", f"{POSTS}/{id}", {"force": True}, allow=gone)
