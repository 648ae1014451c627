"""The simulator's own routes: its clock, faults, records and pictures.

They are for tests and people on the same machine, so they need no login.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from pressroom_dev.simulator.answers import status
from pressroom_dev.simulator.faults import Fault, Faults
from pressroom_dev.simulator.requests import Refused
from pressroom_dev.simulator.scheduler import Post, SimulatedScheduler

Body = TypeVar("Body")

NOTICE = (
    "This is Pressroom's simulator in Metricool's place. Nothing that is scheduled here reaches anyone: the"
    " posts, their readers and their results are simulated, and the clock can be advanced."
)
_HUNDRED_YEARS = timedelta(days=36525).total_seconds()
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Simulated post {number}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:40em;margin:2em auto;padding:0 1em}}
pre{{white-space:pre-wrap;font:inherit;border-left:3px solid #ccc;padding-left:1em}}
img{{max-width:100%}}.notice{{background:#fff3cd;padding:.5em 1em}}</style>
<p class="notice">{notice}</p>
<h1>Post {number}: {networks}, {status}</h1><p>{at}</p>{parts}{media}</html>"""


class Time(BaseModel):
    """A new time of the clock: by seconds, or to a time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    advance_seconds: Annotated[float, Field(ge=0, le=_HUNDRED_YEARS, allow_inf_nan=False)] | None = None
    to: AwareDatetime | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Time:
        if (self.advance_seconds is None) == (self.to is None):
            raise ValueError("either advance_seconds or to")
        return self


_FAULTS = TypeAdapter(list[Fault])
_TIME = TypeAdapter(Time)


def control_routes(scheduler: SimulatedScheduler, faults: Faults, media_root: Path | None) -> list[Route]:
    """The routes under /simulator and /media. ``media_root``: a folder whose files are served."""
    control = Control(scheduler, faults)
    return [
        Route("/", control.about),
        Route("/simulator", control.about),
        Route("/simulator", control.forget, methods=["DELETE"]),
        Route("/simulator/clock", control.clock),
        Route("/simulator/clock", control.set_clock, methods=["POST"]),
        Route("/simulator/faults", control.faults),
        Route("/simulator/faults", control.set_faults, methods=["POST"]),
        Route("/simulator/posts", control.posts),
        Route("/simulator/posts/{id:int}", control.post),
        Route("/media/{name:path}", _media(scheduler, media_root)),
    ]


class Control:
    """The endpoints under /simulator."""

    def __init__(self, scheduler: SimulatedScheduler, faults: Faults) -> None:
        self._scheduler = scheduler
        self._faults = faults

    async def about(self, _: Request) -> Response:
        """A notice, the number of posts by status, and the time."""
        return JSONResponse(self._about())

    async def forget(self, _: Request) -> Response:
        """Delete all posts, pictures and faults. The clock stays."""
        self._scheduler.forget()
        self._faults.arrange([])
        return JSONResponse(self._about())

    async def clock(self, _: Request) -> Response:
        """The simulated present."""
        return JSONResponse(self._now())

    async def set_clock(self, request: Request) -> Response:
        """Advance the clock, or set it to a later time."""
        wanted = await _body(request, _TIME)
        try:
            if wanted.to is not None:
                self._scheduler.move_to(wanted.to.astimezone(UTC))
            else:
                self._scheduler.advance(timedelta(seconds=wanted.advance_seconds or 0))
        except ValueError as error:
            raise Refused(str(error)) from None
        return JSONResponse(self._now())

    async def faults(self, _: Request) -> Response:
        """The active faults, and how often each has struck."""
        return JSONResponse(
            [{**fault.fault.model_dump(), "hits": fault.hits} for fault in self._faults.active]
        )

    async def set_faults(self, request: Request) -> Response:
        """Replace the active faults. An empty list removes all."""
        wanted: list[Fault] = await _body(request, _FAULTS)
        self._faults.arrange(wanted)
        return await self.faults(request)

    async def posts(self, _: Request) -> Response:
        """Every post, also deleted ones."""
        return JSONResponse({"data": [self._record(post) for post in self._scheduler.everything()]})

    async def post(self, request: Request) -> Response:
        """A page that shows one post."""
        post = self._scheduler.get(request.path_params["id"])
        if post is None:
            raise Refused("There is no such post", 404)
        pictures = "".join(
            f'<p><img alt="" src="{html.escape(url)}">' for url in post.body.get("media") or []
        )
        page = _PAGE.format(
            notice=NOTICE,
            number=post.id,
            networks=html.escape(", ".join(post.networks)),
            status=self._status(post).lower(),
            at=post.at.isoformat(),
            parts="".join(f"<pre>{html.escape(part)}</pre>" for part in post.parts),
            media=pictures,
        )
        return HTMLResponse(page)

    def _about(self) -> dict[str, Any]:
        states = Counter(self._status(post).lower() for post in self._scheduler.everything())
        return {"simulator": True, "notice": NOTICE, **self._now(), "posts": dict(states)}

    def _now(self) -> dict[str, str]:
        return {"now": self._scheduler.clock.now().isoformat()}

    def _status(self, post: Post) -> str:
        return "DELETED" if post.deleted else status(post, self._scheduler.clock.now())

    def _record(self, post: Post) -> dict[str, Any]:
        return {
            "id": post.id,
            "blog_id": post.blog_id,
            "at": post.at.isoformat(),
            "created": post.created.isoformat(),
            "networks": post.networks,
            "status": self._status(post),
            "deleted": post.deleted,
            "parts": post.parts,
            "body": dict(post.body),
        }


def _media(scheduler: SimulatedScheduler, root: Path | None) -> Callable[[Request], Response]:
    """Serves the files of a folder, and redirects to pictures that are hosted elsewhere."""

    def media(request: Request) -> Response:
        name = request.path_params["name"]
        if name in scheduler.pictures:
            return RedirectResponse(scheduler.pictures[name])
        # Resolved, so that neither .. nor a link leads out of the folder.
        path = (root / name).resolve() if root is not None and "\0" not in name else None
        if root is None or path is None or not path.is_relative_to(root.resolve()) or not path.is_file():
            raise Refused("There is no such file", 404)
        return FileResponse(path, headers={"X-Content-Type-Options": "nosniff"})

    return media


async def _body(request: Request, kind: TypeAdapter[Body]) -> Body:
    try:
        return kind.validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"{where}: {first['msg']}" if where else first["msg"]) from None
