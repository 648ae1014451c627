"""Values within values, thousands deep, at every door that definitions, items and markup come through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from pressroom.api.hooks import build_app
from pressroom.definitions.loading import load
from pressroom.domain.errors import DefinitionError
from tests.support.control_world import Control

pytestmark = pytest.mark.integration

DEPTHS = (60, 900, 50_000)
"""More than anything of ours has, about as much as Python follows, and as much as a body may hold."""
SHAPES = {"lists": ("[", "]"), "objects": ('{"a":', "}"), "both": ('[{"a":', "}]")}
JSON = {"Content-Type": "application/json"}


def deep(shape: str, depth: int) -> str:
    begins, ends = SHAPES[shape]
    return begins * depth + "1" + ends * depth


PLACES = {
    "a site's name": ("POST", "/sites", '{{"slug": "deep", "name": {}}}'),
    "a site's prompts": ("PATCH", "/sites/{site}", '{{"prompts": {}}}'),
    "a site's targets": (
        "PATCH", "/sites/{site}",
        '{{"publish": {{"targets": [{{"to": "wordpress", "settings": {{"categories": {}}}}}]}}}}',
    ),
    "a flow's steps": ("POST", "/flows", '{{"slug": "deep", "name": "Deep", "steps": {}}}'),
    "a flow's answers": (
        "POST", "/flows",
        (
            '{{"slug": "deep", "name": "D", "steps": '
            '[{{"name": "a", "type": "ai", "prompt": "x", "output": {}}}]}}'
        ),
    ),
    "a mission": ("POST", "/missions", '{{"slug": "deep", "name": "Deep", "constraints": {}}}'),
    "a brand": ("POST", "/brand-contexts", '{{"slug": "deep", "name": "Deep", "dos": {}}}'),
    "a job's item": ("POST", "/pipeline/jobs", '{{"site_id": {site}, "item": {}}}'),
    "the body": ("POST", "/sites", "{}"),
}  # fmt: skip


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("place", PLACES)
async def test_the_api_refuses_it(control: Control, place: str, depth: int) -> None:
    method, path, body = PLACES[place]
    before = control.world.sql("SELECT count(*) FROM workflows")
    for shape in SHAPES:
        text = body.replace("{site}", str(control.world.site_id)).format(deep(shape, depth))
        at = path.format(site=control.world.site_id)
        answer = await control(method, at, user="olga", content=text, headers=JSON)
        assert answer.status_code in (400, 413, 422), (shape, answer.status_code, answer.text[:300])
        assert len(answer.content) < 20_000, shape
    assert control.world.sql("SELECT count(*) FROM workflows") == before


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("shape", SHAPES)
async def test_hooks_end_with_an_answer(control: Control, shape: str, depth: int) -> None:
    """Nobody has signed it: it is not even read."""
    transport = httpx.ASGITransport(app=build_app(control.plane), client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://hooks") as client:
        for path in ("/flows/demo/x", "/gates/1"):
            answer = await client.post(path, content=f'{{"a": {deep(shape, depth)}}}')
            assert answer.status_code in (400, 401, 404, 422), path


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("key", ["name", "prompts", "publish"])
def test_a_file_is_refused_with_its_name(tmp_path: Path, shape: str, depth: int, key: str) -> None:
    site: dict[str, Any] = {"kind": "Site", "account": "acme", "slug": "deep"}
    written = json.dumps({**site, "name": "Deep"} if key != "name" else site)
    (tmp_path / "deep.yaml").write_text(f'{written[:-1]}, "{key}": {deep(shape, depth)}}}', encoding="utf-8")
    with pytest.raises(DefinitionError) as refused:
        load(tmp_path)
    assert refused.value.problems
    assert all("deep.yaml" in each for each in refused.value.problems)
    assert sum(map(len, refused.value.problems)) < 20_000
