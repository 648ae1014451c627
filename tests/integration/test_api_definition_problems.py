"""What the API says of definitions that cannot be used: which field, what is wrong, and the nearest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.control_world import Control
from tests.support.definition_bodies import BRAND, FLOW, SITE, make, problems


@pytest.mark.parametrize(
    ("path", "body", "field", "detail"),
    [
        ("/sites", {"slug": "x"}, "body.name", "is missing"),
        ("/sites", {**SITE, "languge": "de"}, "body.languge", "unknown key. Did you mean 'language'?"),
        (
            "/sites",
            {**SITE, "automation": {"batch_sizes": {"contents": 3}}},
            "body.automation.batch_sizes.contents",
            "unknown key. Did you mean 'content'?",
        ),
        (
            "/sites",
            {**SITE, "automation": {"frequency": "weakly"}},
            "body.automation.frequency",
            "'weakly' is not possible. Did you mean 'weekly'?",
        ),
        (
            "/sites",
            {**SITE, "publish": {"targets": [{"to": "wordpres"}]}},
            "body.publish.targets.0.to",
            "there is no handler 'wordpres'. Did you mean 'wordpress'?",
        ),
        (
            "/sites",
            {**SITE, "prompts": {"content": {"user": "one\n{{ titel }}"}}},
            "body.prompts.content.user",
            "line 2 of the template: unknown variable 'titel'. Did you mean 'title'?",
        ),
        ("/sites", {**SITE, "brand": "main"}, "body.brand", "the account 'demo' has no brand context 'main'"),
        ("/sites", {**SITE, "subject": "a\0b"}, "body.subject", "'a\\x00b' has a character that no text can"),
        ("/sites", {**SITE, "article": {"target_words": "many"}}, "body.article.target_words", "must be"),
        (
            "/flows",
            {**FLOW, "steps": [{"name": "a", "type": "fech"}]},
            "body.steps.0",
            "type: 'fech' is not possible. Did you mean 'fetch'?",
        ),
        (
            "/flows",
            {**FLOW, "steps": [*FLOW["steps"], {"name": "out", "type": "publish", "to": "wordpres"}]},
            "body.steps.2.to",
            "there is no handler 'wordpres'. Did you mean 'wordpress'?",
        ),
        (
            "/flows",
            {**FLOW, "steps": [{**FLOW["steps"][0], "on_failure": "go to nowhere"}]},
            "body.steps.0.on_failure",
            "there is no step 'nowhere'",
        ),
        (
            "/flows",
            {**FLOW, "steps": [{**FLOW["steps"][0], "source": {"type": "rss"}}]},
            "body.steps.0.source.url",
            "is missing",
        ),
        ("/brand-contexts", {**BRAND, "colors": ["red"]}, "body.colors.0", "String should match pattern"),
    ],
)  # fmt: skip
async def test_a_problem_names_its_field_and_the_nearest(
    control: Control, path: str, body: Any, field: str, detail: str
) -> None:
    found = await problems(control, "POST", path, body)
    assert field in found
    assert found[field].startswith(detail)
    before = 1 if path == "/sites" else 0
    assert len((await control.get(path))["items"]) == before


async def test_everything_that_is_wrong_is_said_at_once(control: Control) -> None:
    body = {**SITE, "langauge": "de", "automation": {"concurrency": 0, "time": "25:00"}, "status": "on"}
    found = await problems(control, "POST", "/sites", body)
    assert set(found) == {
        "body.langauge", "body.automation.concurrency", "body.automation.time", "body.status",
    }  # fmt: skip


async def test_a_brand_that_is_not_there_names_the_nearest(control: Control) -> None:
    await make(control, "/brand-contexts", BRAND)
    found = await problems(control, "POST", "/sites", {**SITE, "brand": "mian"})
    assert found["body.brand"].endswith("Did you mean 'main'?")


@pytest.mark.parametrize(
    "content",
    [
        b'{"slug": "x", "name": "\\ud800"}',
        b'{"slug": "x", "name": "x", "\\ud800": 1}',
        b'{"slug": "x", "name": "x", "a\\u0000b": 1}',
        b'{"slug": "x", "name": "x", "text": {"temperature": NaN}}',
        b'{"slug": "x", "name": "x", "text": {"temperature": 1e999}}',
        b'{"slug": "x", "name": "x", "automation": {"articles_per_run": ' + b"9" * 4000 + b"}}",
        b'{"slug": "x", "name": "x", "publish": {"targets": [{"to": "wordpress", "settings": {"a": '
        + b"[" * 500 + b"]" * 500 + b"}}]}}",
        b'{"slug": "x", "name": "x", "prompts": {"post": {"user": "{{ ' + b"(" * 3000 + b'"}}}',
        b'{"slug": "x", "name": "x", "prompts": {"post": {"user": "{{ self.x() }}"}}}',
        b'{"slug": "x", "name": "x", "prompts": {"post": {"user": "' + b"{% for a in [1] %}" * 25
        + b"{% endfor %}" * 25 + b'"}}}',
        b'{"slug": "x", "name": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'["slug"]',
        b"null",
        b'"x"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_no_body_brings_it_down(control: Control, method: str, content: bytes) -> None:
    path = "/sites" if method == "POST" else f"/sites/{control.world.site_id}"
    headers = {"Content-Type": "application/json"}
    answer = await control(method, path, content=content, headers=headers, expect=422)
    assert answer.json()["errors"]
    assert len((await control.get("/sites"))["items"]) == 1


async def test_what_is_said_of_a_body_is_bounded(control: Control) -> None:
    body = {**SITE, "language": "x" * 100_000, **{f"key{number}": 1 for number in range(20_000)}}
    answer = await control("POST", "/sites", json=body, expect=422)
    assert len(answer.json()["errors"]) == 50
    assert len(answer.content) < 60_000


@pytest.mark.parametrize(
    ("template", "what"),
    [
        ("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "processor time"),
        (
            "{% set n = namespace(t='aaaa') %}{% for i in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}",
            "MB of memory",
        ),
        ("{{ 'a'.ljust(10000000000) }}", "MB of memory"),
    ],
    ids=["time", "doubled", "padded"],
)
async def test_a_template_that_never_ends_or_fills_the_memory_is_refused(
    control: Control, template: str, what: str
) -> None:
    step = {"name": "tell", "type": "ping", "connection": "hook", "message": template}
    for path, body in (
        ("/flows", {"slug": "endless", "name": "Endless", "steps": [step]}),
        ("/sites", {"slug": "endless", "name": "Endless", "prompts": {"ideas": {"user": template}}}),
    ):
        answer = await control("POST", path, json=body, expect=422)
        assert f"{what}: shorten the loops" in answer.json()["detail"]
