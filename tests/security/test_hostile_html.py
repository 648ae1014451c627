"""Markup that a parser would make millions of nodes of, sent by an editor to the server that all share."""

from __future__ import annotations

import pytest

from tests.support.control_things import furnish
from tests.support.control_world import Control

pytestmark = pytest.mark.integration

MANY = 4_990
SHAPES = {
    "distinct formatting in paragraphs": "".join(f"<b a={n}>" for n in range(MANY)) + "<p>x" * MANY,
    "formatting in each paragraph": "<p><b><i><em>x" * MANY,
    "formatting across table rows": "<table><b><i>" + "<tr>x" * MANY,
    "blocks within blocks": "<blockquote>" * MANY,
    "lists within lists": "<ul><li>" * MANY,
    "unknown elements": "<x-y>" * MANY,
    "attributes": "<p " + "a=1 " * 5 * MANY + ">x",
}


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_is_stored_is_what_was_sent_with_its_ends(control: Control, shape: str) -> None:
    """The attack sent 69 KB, and ended the process; of 20 KB it stored 15.8 MB."""
    article = furnish(control.world)["article"]
    html = f"<h2>Title</h2><p>{'Some words of an article. ' * 20}</p>{SHAPES[shape]}"
    before = await control.get(f"/content/{article}")
    body = {"html": html, "content_hash": before["content_hash"]}
    await control("PATCH", f"/content/{article}", json=body, expect=200)
    [(stored,)] = control.world.sql("SELECT max(length(html)) FROM contents")
    read = await control("GET", f"/content/{article}", user="vera", expect=200)
    assert stored < 3 * len(html)
    assert len(read.content) < 3 * len(html)
