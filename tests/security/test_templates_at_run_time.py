"""Templates that pass their trial and take too much when they are used: only their item fails."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import pressroom
from pressroom.bounded.process import SHARED, BoundedProcess, CallLimits
from pressroom.domain.definitions import Account, PromptOverride, Prompts, Site
from pressroom.domain.errors import ConfigurationError, PermanentError, TooMuch
from pressroom.domain.flows import Flow
from pressroom.domain.packets import source_item
from pressroom.pipelines import templates
from pressroom.pipelines.flow.items import FlowItem, Packet
from pressroom.pipelines.flow.pipeline import run_step
from pressroom.pipelines.prompts import VARIABLES, render
from pressroom.pipelines.templates import MOST_CHARS, fill, filled
from pressroom.testing import FakeText, tools
from pressroom.testing_flows import FakeOutside
from tests.support.waiting import turns_counted, until

LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
ENDLESS = f"{{% if run.id > 1 %}}{LOOPS}{{% endfor %}}{{% endfor %}}{{% endfor %}}{{% endif %}}"
FILLS_MEMORY = "{% if run.id > 1 %}{{ 'x' | center(1500000000) | length }}{% endif %}"
GROWS = "{% if run.id > 1 %}{% for a in range(90000) %}{{ item.title }} and more {% endfor %}{% endif %}"
ATTACKS = {ENDLESS: "of processor time", FILLS_MEMORY: "MB of memory", GROWS: "characters"}


@pytest.fixture(autouse=True)
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "LIMITS", replace(templates.LIMITS, cpu_seconds=0))


def flow(template: str) -> Flow:
    step = {"name": "write", "type": "ai", "prompt": template}
    return Flow.model_validate({"account": "acme", "slug": "news", "name": "News", "steps": [step]})


def item() -> FlowItem:
    source = source_item("one", title="A title", text="a text").to_data()
    return FlowItem(7, "one", source, "write", [Packet(1, "read", "source", source)])


@pytest.mark.parametrize("template", ATTACKS)
async def test_an_item_on_which_a_template_takes_too_much_fails_with_the_reason(template: str) -> None:
    definition = flow(template)
    _, step = definition.step("write")
    used = replace(tools(site=definition, text=FakeText(), outside=FakeOutside()), run_id=2)
    with pytest.raises(PermanentError, match=ATTACKS[template]) as failed:
        await run_step(step, 0, item(), used)
    assert "the prompt of the step write fails: it" in str(failed.value)


async def test_the_event_loop_goes_on_meanwhile() -> None:
    """What looks for cancel and pause, and renews the lease, runs in the same loop."""
    async with turns_counted() as turns:
        with pytest.raises(PermanentError):
            await filled(ENDLESS, {"run": {"id": 2}})
    assert turns.number > 5


async def test_who_is_cancelled_waits_for_no_template_and_the_next_is_filled_in() -> None:
    endless = asyncio.create_task(filled(ENDLESS, {"run": {"id": 2}}))
    waiting = asyncio.create_task(filled("{% for t in [1] %}{{ t }}{% endfor %}", {}))
    await until(lambda: SHARED._asked is not None)
    endless.cancel()
    with pytest.raises(asyncio.CancelledError):
        await endless
    assert await waiting == "1"


@pytest.mark.parametrize("part", ["system", "user"])
async def test_a_prompt_of_a_site_that_takes_too_much_is_the_set_ups_fault(part: str) -> None:
    loops = f"{{% if count > 3 %}}{LOOPS}{{% endfor %}}{{% endfor %}}{{% endfor %}}{{% endif %}}"
    prompts = Prompts(ideas=PromptOverride(**{part: loops}))
    site = Site(account="acme", slug="blog", name="Blog", subject="tea", prompts=prompts)
    known = {**VARIABLES["ideas"], "count": 4}
    with pytest.raises(ConfigurationError, match=f"the {part} prompt of 'ideas' fails: it takes more than"):
        await render(
            "ideas", account=Account(slug="acme", name="A"), workflow=site, brand=None, max_tokens=9, **known
        )


async def test_what_only_names_its_variables_is_filled_in_here_and_gives_the_same() -> None:
    SHARED.close()
    source = "{% if item.title %}About {{ item.title | data }}: {{ item['text'] }}{% endif %}"
    variables = {"item": {"title": "A <title>", "text": "words"}}
    assert await filled(source, variables) == "About <data>A &lt;title&gt;</data>: words"
    assert SHARED._process is None
    assert await filled(source + "{% for t in [1] %}{{ t }}{% endfor %}", variables) == (
        "About <data>A &lt;title&gt;</data>: words1"
    )
    assert SHARED._process is not None


async def test_naming_large_variables_very_often_is_work() -> None:
    text = "x" * 100_000
    with pytest.raises(PermanentError, match=r"memory|characters"):
        await filled("{{ item }}" * 1_900, {"item": {"text": text}})
    assert len(await filled("{{ item.text }}" * 5, {"item": {"text": text}})) == MOST_CHARS


@pytest.mark.parametrize("mark", ["</data>", "<|im_end|>", "\uff1c/data\uff1e"])
def test_a_key_holds_no_mark_either(mark: str) -> None:
    """Keys come from JSON feeds, webhooks and answers at gates."""
    item = {"extra": {f"a {mark} key": 1, "b": {mark: "text"}}}
    shown = fill("{{ item }} {% for key in item.extra %}{{ key }}{% endfor %}", {"item": item})
    assert not set(shown) & set("<>\uff1c\uff1e")
    assert "&lt;" in shown


@pytest.fixture
def process() -> Iterator[BoundedProcess]:
    made = BoundedProcess()
    yield made
    made.close()


def test_the_process_sees_no_secret(process: BoundedProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PRESSROOM_TEXT", "secret")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    known = process.ask("os:getenv", "PATH")
    assert known == os.environ["PATH"]
    assert process.ask("os:getenv", "AIRFLOW_CONN_PRESSROOM_TEXT") is None
    assert process.ask("os:getenv", "OPENAI_API_KEY") is None


def test_a_call_that_breaks_its_process_breaks_no_other(process: BoundedProcess) -> None:
    with pytest.raises(TooMuch, match="ends the process"):
        process.ask("os:_exit", 9)
    with pytest.raises(TooMuch, match="more than 1,000 bytes"):
        process.ask("builtins:list", range(2000), limits=CallLimits(answer_bytes=1000))
    with pytest.raises(TooMuch, match=r"more than 0\.2 seconds"):
        process.ask("time:sleep", 60, limits=CallLimits(seconds=0.2))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        process.ask("operator:truediv", 1, 0)
    with pytest.raises(ConfigurationError, match="no_such_module"):
        process.ask("pressroom.no_such_module:name")
    assert process.ask("operator:add", 1, 2) == 3


def test_nothing_of_it_is_left_when_its_parent_is_killed() -> None:
    """SIGKILL leaves no time to end anything: the process sees that nobody asks any more."""
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(pressroom.__file__).parent.parent)},
    )  # fmt: skip
    assert parent.stdout is not None
    group = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(600):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        subprocess.run(["sleep", "0.1"], check=True)
    raise AssertionError("the process outlives its parent")


ORPHANS = """
import psutil, threading, time
from pressroom.bounded.process import SHARED, CallLimits

limits = {"limits": CallLimits(seconds=300)}
threading.Thread(target=SHARED.ask, args=("time:sleep", 300), kwargs=limits).start()
while SHARED._process is None or not psutil.Process(SHARED._process.pid).children():
    time.sleep(0.05)
print(SHARED._process.pid, flush=True)
time.sleep(300)
"""

WATCHED = """
from pressroom.bounded import worker

worker._watch_memory(100 << 20)
held = [bytearray(1 << 20) for _ in range(20)]
print("fine", flush=True)
while True:
    held.append(bytearray(b"x") * (1 << 20))
"""


def test_memory_is_bounded_where_the_system_does_not_bound_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(pressroom.__file__).parent.parent)},
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("fine\n", 3)
