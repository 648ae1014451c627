"""WordPress as a target: every try of a piece ends at the same post."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx

from pressroom.adapters.targets.article import ArticleArguments, Illustration, article_of, body_of, slug_of
from pressroom.adapters.targets.service import ServiceTarget
from pressroom.adapters.targets.wordpress.client import Unreadable, WordPressClient
from pressroom.adapters.targets.wordpress.library import MediaLibrary, Medium, Terms
from pressroom.adapters.targets.wordpress.settings import WordPressSettings
from pressroom.adapters.targets.wordpress.wire import (
    STATUSES,
    as_html,
    changed_by,
    claim,
    claim_slug,
    is_claim,
    is_elsewhere,
    is_finished,
    known,
    lacking,
    marked,
    placed,
    ranked,
    raw_content,
    timing,
    token,
    with_suffixes,
    without_codes,
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
        posts = await self._own(piece)
        return placed(posts[0]) if posts and is_finished(posts[0], piece.key) else None

    async def publish(self, piece: Piece[ArticleArguments]) -> Placed:
        """Raises UnknownOutcome when the article, or a part of it, may exist."""
        arguments, slug = piece.arguments, self._slug(piece)
        # What is wrong with the piece shows before anything is sent.
        names = [self._media.file_name(slug, picture) for picture in piece.pictures]
        terms = await self._named(arguments)
        post, ours = await self._claimed(piece)
        was_there = is_finished(post, piece.key)
        lacks = ""
        for again in range(ROUNDS):
            try:
                media = [
                    await self._media.medium(piece.key, post["id"], picture, name)
                    for picture, name in zip(piece.pictures, names, strict=True)
                ]
                post, body = await self._finish(piece, post, media, terms, finished=was_there or again > 0)
            except PermanentError:
                if ours:
                    with suppress(PressroomError):  # the piece is refused, so its draft is deleted
                        await self._delete_claim(post["id"], piece.key)
                raise
            lacks = lacking(post, body)
            if not lacks:
                return placed(post if was_there else await self._with_own_slug(piece, post))
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
        try:
            answer = await self._api.write("DELETE", f"{POSTS}/{external_id}", allow=gone)
        except Unreadable:
            if await self._read(external_id) is not None:
                raise
            return True
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

    async def _own(self, piece: Piece[ArticleArguments], *, everywhere: bool = False) -> list[Json]:
        """The posts of the piece, the one that counts first: by the id that the ledger knows, then by the
        piece's slug and its claim's, which an editor may have changed, then by the mark.

        A page builder that writes the content again takes the mark out of it; the id and the claim's slug
        stay. A site's search can be another one that knows no comments; by the slug the post is found even
        then.
        """
        posts: list[Json] = []

        def enough() -> bool:
            own = ranked(posts, piece.key)
            return not everywhere and bool(own) and is_finished(own[0], piece.key)

        if piece.known is not None and piece.known.external_id.isdecimal():
            post = await self._on_record(piece.known)
            posts += [known(post, piece.key, piece.known.url)] if post else []
        if not enough():
            slugs = f"{claim_slug(piece.key)},{with_suffixes(self._slug(piece))}"
            posts += await self._listed(slug=slugs)
        if not enough():
            posts += await self._listed(search=token(piece.key))
        return ranked(posts, piece.key)

    async def _on_record(self, placed: Placed) -> Json | None:
        """The post of an id on record; None when there is none, or it is another site's.

        To an author the site refuses to show others' posts for editing. At the piece's own host such a post
        may be the piece, made by another user; only at another one is it certainly not.
        """
        try:
            return await self._read(placed.external_id)
        except ConfigurationError:
            hidden = ("rest_post_invalid_id", "rest_forbidden")
            seen = await self._api.get(f"{POSTS}/{placed.external_id}", allow=hidden)
            if is_elsewhere(seen, placed.url):
                return None
            raise

    async def _read(self, id: str | int) -> Json | None:
        """A post as it is now; None when there is none, or it is in the trash."""
        post = await self._api.get(f"{POSTS}/{id}", allow=("rest_post_invalid_id",), context="edit")
        gone = post.get("code") == "rest_post_invalid_id" or post.get("status") == "trash"
        if gone:
            return None
        self._must_show([post])
        try:
            return self._post(post)
        except Unreadable:
            raise self._api.strange() from None

    async def _listed(self, **by: str) -> list[Json]:
        posts = await self._api.listed(
            POSTS, status=STATUSES, context="edit", _fields="id,status,slug,link,date_gmt,content.raw", **by
        )
        self._must_show(posts)
        return posts

    def _must_show(self, posts: list[Json]) -> None:
        """Raises ConfigurationError when the site keeps back what posts are recognised by."""
        try:
            for post in posts:
                raw_content(post)
        except KeyError as error:
            raise ConfigurationError(
                f"{self._where}: the site shows posts without {error.args[0]}, so none can be recognised"
            ) from None

    async def _claimed(self, piece: Piece[ArticleArguments]) -> tuple[Json, bool]:
        """The one post of the piece, made as a claim if there is none; and whether this call made it."""
        posts, made = await self._own(piece), None
        unreadable: Unreadable | None = None
        if not posts:
            try:
                made = self._post(
                    await self._api.write(
                        "POST",
                        POSTS,
                        {
                            "status": "draft",
                            "title": as_html(piece.arguments.title),
                            "slug": claim_slug(piece.key),
                            "content": claim(piece.key),
                        },
                    )
                )
            except Unreadable as error:
                unreadable = error
            posts = await self._own(piece, everywhere=True) or ([made] if made else [])
        if not posts:
            raise UnknownOutcome(str(unreadable))
        for other in posts[1:]:
            if is_claim(other, piece.key):
                await self._delete_claim(other["id"], piece.key)
        if is_claim(posts[0], piece.key):
            # From here on the post is known by its id, whatever the site makes of its content.
            await piece.note(Placed(str(posts[0]["id"]), str(posts[0].get("link") or "")))
        return posts[0], unreadable is not None or (made is not None and posts[0]["id"] == made["id"])

    async def _delete_claim(self, id: int, key: str) -> None:
        """Delete a claim for good, if a fresh look says that it is one still, and not the article."""
        fresh = await self._read(id)
        if fresh is None or fresh["status"] != "draft" or not is_claim(fresh, key):
            return
        # The last of these also says that somebody else is deleting it at this moment.
        gone = ("rest_post_invalid_id", "rest_already_trashed", "rest_cannot_delete")
        with suppress(Unreadable):
            await self._api.write("DELETE", f"{POSTS}/{id}", {"force": True}, allow=gone)

    async def _finish(
        self,
        piece: Piece[ArticleArguments],
        post: Json,
        media: list[Medium],
        terms: dict[str, list[int]],
        *,
        finished: bool,
    ) -> tuple[Json, Json]:
        """Make the claim, or what was published before, the article. What is there, and what was sent."""
        arguments = piece.arguments
        pictures = [
            Illustration(picture.url, medium.url, medium.alt, f"wp-image-{medium.id}")
            for picture, medium in zip(piece.pictures, media, strict=True)
        ]
        fields = {
            "title": as_html(arguments.title),
            "content": marked(without_codes(body_of(arguments.html, pictures)), piece.key),
            "excerpt": without_codes(as_html(arguments.excerpt or arguments.meta_description)),
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
        return await self._written(post, body), body

    async def _written(self, post: Json, body: Json) -> Json:
        """The post after a write. Where WordPress's answer cannot be read, the post itself says what became
        of it.
        """
        try:
            return self._post(await self._api.write("POST", f"{POSTS}/{post['id']}", body))
        except Unreadable as error:
            fresh = await self._read(post["id"])
            if fresh is None or not changed_by(fresh, post, body):
                raise UnknownOutcome(str(error)) from None
            return fresh

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
            post = await self._written(post, {"slug": self._slug(piece)})
        return post

    def _post(self, answer: Json) -> Json:
        """The answer to a post that was read or written. Raises Unreadable when it is something else."""
        try:
            raw_content(answer)
            return {**answer, "id": int(answer["id"]), "status": str(answer["status"])}
        except (KeyError, TypeError, ValueError):
            raise self._api.unreadable() from None

    def _slug(self, piece: Piece[ArticleArguments]) -> str:
        return slug_of(piece.arguments, piece.key)
