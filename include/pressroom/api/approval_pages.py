"""The page behind an approval's link: it asks, and decides when a button is pressed.

The secret is behind the ``#`` of the link. Browsers send that part nowhere, so no log on the way has it; the
page sends it in a form.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import parse_qs

from fastapi.responses import HTMLResponse, Response

from pressroom.api.kit.problems import Problem
from pressroom.domain.errors import PermanentError, PressroomError
from pressroom.engine.gates import APPROVE, REJECT, Gate

OPTIONS = {APPROVE: "Approve", REJECT: "Reject"}
MOST_FIELDS = 10

_SCRIPT = (
    "const form = document.forms[0], secret = location.hash.slice(1);"
    "if (secret) { form.token.value = secret; form.submit(); }"
)
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'sha256-{_SCRIPT_HASH}'; style-src 'unsafe-inline';"
        " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
}

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots"
content="noindex"><title>{title}</title>
<style>:root{{color-scheme:light dark}}button{{font:inherit;padding:.5em 1.4em;margin-right:.6em}}
body{{font:17px/1.6 system-ui,sans-serif;max-width:36em;margin:3em auto;padding:0
1.2em}}.note{{opacity:.75}}</style> <h1>{title}</h1>{body}</html>"""


class ApprovalForm:
    """What a form of these pages sends. Raises PermanentError for one that is none.

    ``decision``: "" until a button was pressed; ``prefer``: the button that the link was for.
    """

    def __init__(self, body: bytes) -> None:
        try:
            fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS)
        except ValueError:
            raise PermanentError(f"the form has more than {MOST_FIELDS} fields") from None
        self.decision, self.token, self.prefer = (
            fields.get(name, [""])[0] for name in ("decision", "token", "prefer")
        )


def secret_wanted(prefer: str) -> str:
    """The page that has the secret sent. ``prefer``: approve or reject."""
    return (
        f'<form method="post"><input type="hidden" name="prefer" value="{html.escape(prefer)}">'
        '<p><label>The part of the link behind # <input type="password" name="token" required'
        ' autocomplete="off"></label></p><button>Show what is asked</button></form>'
        f"<script>{_SCRIPT}</script>"
    )


def question(gate: Gate, title: str, prefer: str, token: str = "") -> str:
    """The page with the buttons."""
    buttons = "".join(
        f'<button name="decision" value="{value}"{" autofocus" if value == prefer else ""}>{label}</button>'
        for value, label in OPTIONS.items()
    )
    kept = f'<input type="hidden" name="token" value="{html.escape(token)}">' if token else ""
    return (
        f"<p><strong>{html.escape(gate.subject)}</strong></p><p>{html.escape(title)}</p>"
        f'<form method="post">{kept}{buttons}</form>'
        f'<p class="note">This link works once, until {gate.due_at:%Y-%m-%d %H:%M} UTC.</p>'
    )


def outcome(title: str, decision: str) -> str:
    """The page after a decision."""
    said = {APPROVE: "approved", REJECT: "rejected"}[decision]
    return f"<p>{html.escape(title)} is {said}. You can close this page.</p>"


async def shown(
    work: Callable[[], Awaitable[str]], problem_for: Callable[[PressroomError], Problem]
) -> Response:
    """The page that ``work`` returns, or a page with its error."""
    try:
        status, body = 200, await work()
    except PressroomError as error:
        problem = problem_for(error)
        status, body = problem.status, f"<p>{html.escape(problem.detail)}</p>"
    return HTMLResponse(_PAGE.format(title="Review", body=body), status, headers=HEADERS)
