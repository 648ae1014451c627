"""The simulator's state: posts, and a clock that can be advanced, in memory and in a journal."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

Json = dict[str, Any]

FIRST_ID = 1001


def wall_clock() -> datetime:
    """The real time, in UTC."""
    return datetime.now(UTC)


class SimulatedClock:
    """Real time plus an offset that only grows. ``wall`` returns the real time."""

    def __init__(self, wall: Callable[[], datetime] = wall_clock) -> None:
        self._wall = wall
        self._latest = datetime.min.replace(tzinfo=UTC)
        self.offset = timedelta(0)

    def now(self) -> datetime:
        """The simulated time, in UTC. It never goes backwards, even when the real clock is set back."""
        self._latest = max(self._latest, self._wall() + self.offset)
        return self._latest

    def advance(self, by: timedelta) -> None:
        """Advance the clock. Raises ValueError for a negative time."""
        if by < timedelta(0):
            raise ValueError("the clock never goes backwards")
        try:
            self.move_to(self.now() + by)
        except OverflowError:
            raise ValueError("the calendar ends before that") from None

    def move_to(self, at: datetime) -> None:
        """Set the clock. Raises ValueError for an earlier time."""
        if at < self.now():
            raise ValueError("the clock never goes backwards")
        self.offset = at - self._wall()
        self._latest = at


@dataclass(frozen=True)
class Post:
    """A scheduled post. ``body``: the request's. ``at``, ``created``: in UTC."""

    id: int
    uuid: str
    blog_id: int
    at: datetime
    created: datetime
    body: Mapping[str, Any]
    deleted: bool = False

    @property
    def networks(self) -> list[str]:
        """The networks of the post."""
        return [provider["network"] for provider in self.body["providers"]]

    @property
    def parts(self) -> list[str]:
        """The texts of the post's thread, in order."""
        children = self.body.get("descendants") or []
        return [part.get("text") or "" for part in (self.body, *children)]

    @property
    def automatic(self) -> bool:
        """Whether it is published at its time."""
        return self.body.get("autoPublish", True) and not self.body.get("draft", False)

    def is_out(self, now: datetime) -> bool:
        """Whether it is published."""
        return self.automatic and not self.deleted and now >= self.at


class Journal:
    """An append-only file of JSON lines. Without a path nothing is written.

    Each line is written before the change is answered, so it survives the process. An incomplete last line
    belongs to a change that was not answered, and is dropped.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def read(self) -> list[Json]:
        """Every event so far. Raises ValueError with the number of a broken line that is not the last."""
        if self._path is None or not self._path.exists():
            return []
        data = self._path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            self._path.write_bytes(whole)
        events = []
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                events.append(json.loads(line))
            except ValueError:
                raise ValueError(f"{self._path}, line {number}: not a journal of the simulator") from None
        return events

    def add(self, event: Json) -> None:
        """Append a change."""
        self._write(event, "ab")

    def restart(self, event: Json) -> None:
        """Replace all changes by this one."""
        self._write(event, "wb")

    def _write(self, event: Json, mode: str) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open(mode) as file:
            file.write(json.dumps(event, ensure_ascii=False).encode() + b"\n")


class SimulatedScheduler:
    """The posts of all brands, their pictures' addresses, and the clock. The state survives a restart."""

    def __init__(self, path: Path | None = None, *, wall: Callable[[], datetime] = wall_clock) -> None:
        self.clock = SimulatedClock(wall)
        self.pictures: dict[str, str] = {}
        self._posts: dict[int, Post] = {}
        self._next_id = FIRST_ID
        self._journal = Journal(path)
        for event in self._journal.read():
            self._replay(event)

    def create(self, blog_id: int, at: datetime, body: Mapping[str, Any]) -> Post:
        """Store a new post."""
        number = self._next_id
        # Derived, not drawn, so that the same run has the same ids.
        name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"pressroom-simulator-{number}"))
        post = Post(number, name, blog_id, at, self.clock.now(), body)
        self._journal.add(
            {
                "event": "created",
                "id": post.id,
                "uuid": post.uuid,
                "blog_id": blog_id,
                "at": at.isoformat(),
                "created": post.created.isoformat(),
                "body": dict(body),
            }
        )
        self._keep(post)
        return post

    def get(self, number: int) -> Post | None:
        """A post, deleted or not."""
        return self._posts.get(number)

    def delete(self, post: Post) -> None:
        """Delete a post. It stays in the records."""
        self._journal.add({"event": "deleted", "id": post.id})
        self._posts[post.id] = replace(post, deleted=True)

    def everything(self) -> list[Post]:
        """Every post of every brand in the order of creation, also deleted ones."""
        return list(self._posts.values())

    def between(self, blog_id: int, start: datetime, end: datetime) -> Iterator[Post]:
        """The brand's posts with a time in the span, ends included, without deleted ones."""
        return (
            post
            for post in self._posts.values()
            if post.blog_id == blog_id and not post.deleted and start <= post.at <= end
        )

    def host(self, name: str, source: str) -> None:
        """Record the source of the picture with this name."""
        if self.pictures.get(name) != source:
            self._journal.add({"event": "hosted", "name": name, "source": source})
            self.pictures[name] = source

    def advance(self, by: timedelta) -> None:
        """Advance the clock. Raises ValueError for a negative time."""
        self.clock.advance(by)
        self._note_clock()

    def move_to(self, at: datetime) -> None:
        """Set the clock. Raises ValueError for an earlier time."""
        self.clock.move_to(at)
        self._note_clock()

    def forget(self) -> None:
        """Delete all posts and pictures. The clock stays, and ids are not used again."""
        self._posts.clear()
        self.pictures.clear()
        self._journal.restart(
            {"event": "began", "next_id": self._next_id, "offset": self.clock.offset.total_seconds()}
        )

    def _note_clock(self) -> None:
        self._journal.add({"event": "clock", "offset": self.clock.offset.total_seconds()})

    def _keep(self, post: Post) -> None:
        self._posts[post.id] = post
        self._next_id = max(self._next_id, post.id + 1)

    def _replay(self, event: Json) -> None:
        match event["event"]:
            case "created":
                self._keep(
                    Post(
                        id=event["id"],
                        uuid=event["uuid"],
                        blog_id=event["blog_id"],
                        at=datetime.fromisoformat(event["at"]),
                        created=datetime.fromisoformat(event["created"]),
                        body=event["body"],
                    )
                )
            case "deleted":
                self._posts[event["id"]] = replace(self._posts[event["id"]], deleted=True)
            case "hosted":
                self.pictures[event["name"]] = event["source"]
            case "clock":
                self.clock.offset = timedelta(seconds=event["offset"])
            case "began":
                self._next_id = event["next_id"]
                self.clock.offset = timedelta(seconds=event["offset"])
