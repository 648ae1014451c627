"""What flows under test talk to: feeds, a desk that is told things, Pinterest, X, a real WordPress."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from pressroom.adapters.http.signing import verify
from tests.support import strict_pinterest, strict_x
from tests.support.notice_world import Sinks
from tests.support.strict_pinterest import StrictPinterest
from tests.support.strict_server import served
from tests.support.strict_x import StrictX
from tests.support.wordpress import RunningWordPress, missing, wordpress

DESK_SECRET = "the desk's own secret"
INBOUND_SECRET = "what senders sign with"
PIECES = "/pieces"
FIRST = datetime(2026, 11, 2, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """An entry of a feed. ``image``: whether it has one."""

    title: str
    text: str = "Water dissolves small particles faster than large ones."
    image: bool = False


class Web:
    """One server for the feeds, at ``/<name>.xml``, and for the desk, where signed webhooks come in.

    What flows publish to it as a target comes in at ``/pieces``.
    """

    def __init__(self) -> None:
        self.feeds: dict[str, list[Entry]] = {}
        self.told: list[dict[str, Any]] = []
        self.pieces: list[dict[str, Any]] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.strip("/").removesuffix(".xml")
                self._answer(200 if name in web.feeds else 404, web.rss(name).encode())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                proven = verify(headers, body, DESK_SECRET)
                if proven is not None:
                    (web.pieces if self.path == PIECES else web.told).append(json.loads(body))
                self._answer(200 if proven is not None else 401, b"{}")

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the tests look at what came."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.address}"

    def __enter__(self) -> Web:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def rss(self, name: str) -> str:
        """The feed as XML; the later an entry was added, the newer it is."""
        items = []
        for number, entry in enumerate(self.feeds.get(name, [])):
            at = (FIRST + timedelta(hours=number)).strftime("%a, %d %b %Y %H:%M:%S GMT")
            link = f"https://{name}.example/{number}"
            picture = f'<enclosure url="{link}.jpg" type="image/jpeg" length="1"/>' if entry.image else ""
            items.append(
                f"<item><title>{escape(entry.title)}</title><link>{link}</link><guid>{link}</guid>"
                f"<pubDate>{at}</pubDate><description>{escape(entry.text)}</description>{picture}</item>"
            )
        return (
            '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel><title>Feed</title>'
            f"<link>https://{name}.example/</link><description>A feed</description>{''.join(items)}"
            "</channel></rss>"
        )


@dataclass(frozen=True)
class Outside:
    """``blog`` is None where no WordPress can be started; ``lacks`` then says why. ``post_office``: a mail
    server.
    """

    web: Web
    pinterest: StrictPinterest
    x: StrictX
    blog: RunningWordPress | None
    lacks: str
    env: dict[str, str]
    post_office: Sinks

    def posts(self, words: str) -> list[dict[str, Any]]:
        """The blog's articles with these words in their titles, as its owner sees them."""
        assert self.blog is not None
        found = httpx.get(
            f"{self.blog.url}/wp-json/wp/v2/posts", auth=(self.blog.user, self.blog.password), timeout=60,
            params={"search": words, "context": "edit", "per_page": 100,
                    "status": "publish,future,draft,pending,private"},
        )  # fmt: skip
        found.raise_for_status()
        return [post for post in found.json() if words in post["title"]["raw"]]


@contextmanager
def outside() -> Iterator[Outside]:
    """All of it, and the variables that lead the services there."""
    pinterest, x, lacks = StrictPinterest(), StrictX(now=datetime.now(UTC)), missing()
    with ExitStack() as stack:
        web, post_office = stack.enter_context(Web()), Sinks()
        stack.enter_context(post_office.mail_server())
        at = {"pinterest": stack.enter_context(served(pinterest)), "x": stack.enter_context(served(x))}
        blog = None if lacks else stack.enter_context(wordpress())
        wanted: dict[str, dict[str, Any]] = {
            "pinterest": {
                "host": f"{at['pinterest']}/v5",
                "password": strict_pinterest.TOKEN,
                "extra": {"board": "Recipes"},
            },
            "x": {"host": at["x"], "password": strict_x.TOKEN},
            "desk": {"host": web.url, "password": DESK_SECRET},
            "receiver": {"host": f"{web.url}{PIECES}", "password": DESK_SECRET},
            "inbound": {"host": "", "password": INBOUND_SECRET},
            "mail": post_office.fields()["mail"],
        }
        if blog is not None:
            wanted["wordpress"] = {"host": blog.url, "login": blog.user, "password": blog.password}
            wanted["wrong_password"] = {"host": blog.url, "login": blog.user, "password": "of another day"}
        env = {
            f"AIRFLOW_CONN_PRESSROOM_{name.upper()}": json.dumps({"conn_type": _type_of(name), **fields})
            for name, fields in wanted.items()
        }
        env["PRESSROOM_ALLOW_HOSTS"] = f"{web.address},127.0.0.1:{post_office.smtp_port}"
        yield Outside(web, pinterest, x, blog, lacks, env, post_office)


def _type_of(connection: str) -> str:
    """What comes in is signed by a connection of the webhooks' own type; all others may be of any."""
    return "pressroom_webhook" if connection == "inbound" else "generic"
