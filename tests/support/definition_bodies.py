"""Bodies that the API's tests make definitions of."""

from __future__ import annotations

from typing import Any

from tests.support.control_world import Control

SITE: dict[str, Any] = {"slug": "garden", "name": "Garden"}
BRAND: dict[str, Any] = {"slug": "main", "name": "Main", "voice": "calm"}
FLOW: dict[str, Any] = {
    "slug": "digest", "name": "Digest",
    "steps": [
        {"name": "read", "type": "fetch", "source": {"type": "rss", "url": "https://example.org/feed"}},
        {"name": "write", "type": "ai", "prompt": "Sum up {{ item.title }}."},
    ],
}  # fmt: skip
KINDS = [("/sites", SITE), ("/flows", FLOW), ("/brand-contexts", BRAND)]


async def make(control: Control, path: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the API answers for a new definition."""
    found: dict[str, Any] = (await control("POST", path, json={**body, **more}, expect=201)).json()
    return found


async def problems(control: Control, method: str, path: str, body: Any) -> dict[str, str]:
    """Field → what is wrong with it."""
    answer = (await control(method, path, json=body, expect=422)).json()
    return {one["field"]: one["detail"] for one in answer["errors"]}
