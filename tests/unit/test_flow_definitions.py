"""A flow is checked before it runs: what is wrong is said with its line and the remedy."""

from __future__ import annotations

import textwrap

import pytest

from pressroom.definitions import loading
from pressroom.domain.flows import AiStep, Flow
from pressroom.domain.grants.named import names_of
from pressroom.pipelines.flow.items import RESERVED

HEAD = "kind: Flow\naccount: acme\nslug: news\nname: News\nsteps:\n"
"""Five lines: the first step is on line 6."""

FETCH = "- {name: read, type: fetch, source: {type: rss, url: 'https://example.org/feed'}}"
WRITE = "- {name: write, type: ai, prompt: 'Write about {{ item.title | data }}'}"
BLOG = "- {name: blog, type: publish, to: wordpress}"
AUTO = "- {name: blog, type: publish, to: wordpress, mode: auto}"
PING = "- {name: tell, type: ping, connection: hook}"


UNSEEN = (
    "no AI step before 'blog' may call it: set mode: auto, put an AI step right before it, or name it in an"
    " earlier AI step's tools"
)


UNPICTURED = "takes nothing without a picture, and no media step comes before"


def text(*steps: str) -> str:
    return HEAD + "".join(textwrap.indent(textwrap.dedent(step).strip("\n"), "  ") + "\n" for step in steps)


def wrong(*steps: str) -> list[str]:
    """The problems, without file and name: ``line: place: what``."""
    found, problems = loading.read_text(text(*steps), "a.yaml")
    assert bool(found) is not bool(problems)
    assert all(one.startswith("a.yaml:") for one in problems)
    return [one.removeprefix("a.yaml:").replace(" Flow news:", "") for one in problems]


def right(*steps: str) -> Flow:
    found, problems = loading.read_text(text(*steps), "a.yaml")
    assert problems == []
    flow = found[0].definition
    assert isinstance(flow, Flow)
    return flow


# What is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "problems"),
    [
        pytest.param(
            [FETCH, WRITE, "- {name: blog, type: publish, to: wordpres}"],
            ["8: steps[2].to: there is no handler 'wordpres'. Did you mean 'wordpress'?"],
            id="unknown handler",
        ),
        pytest.param(
            [FETCH, BLOG],
            [
                f"7: steps[1]: {UNSEEN}",
            ],
            id="a publish step that no AI step serves",
        ),
        pytest.param(
            [FETCH, WRITE, PING, BLOG],
            [
                f"9: steps[3]: {UNSEEN}",
            ],
            id="an AI step that is not next to it",
        ),
        pytest.param(
            [FETCH, BLOG, WRITE],
            [
                f"7: steps[1]: {UNSEEN}",
            ],
            id="an AI step that comes after it is too late",
        ),
        pytest.param(
            [FETCH, "- {name: pin, type: publish, to: pinterest, mode: auto}"],
            [f"7: steps[1]: pinterest {UNPICTURED} 'pin': put one there"],
            id="a picture that nothing makes",
        ),
        pytest.param(
            [FETCH, AUTO.replace("wordpress", "metricool").replace("}", ", settings: {network: instagram}}")],
            [f"7: steps[1]: instagram {UNPICTURED} 'blog': put one there"],
            id="a picture that the network asks for",
        ),
        pytest.param(
            [FETCH, WRITE, "- {name: pin, type: publish, to: pinterest}"],
            [f"8: steps[2]: pinterest {UNPICTURED} 'pin': put one there"],
            id="a picture that the model cannot make",
        ),
        pytest.param(
            [
                FETCH,
                WRITE,
                "- {name: pin, type: publish, to: pinterest}",
                "- {name: draw, type: media, prompt: x}",
            ],
            [f"8: steps[2]: pinterest {UNPICTURED} 'pin': put one there"],
            id="a picture that is made too late",
        ),
        pytest.param(
            [
                FETCH,
                "- {name: way, type: route, rules: [{when: 'true', to: tell}], otherwise: end}",
                "- {name: lost, type: media, prompt: a picture}",
                PING,
            ],
            ["8: steps[2]: 'lost' is never reached: lead a route to it, or take it out"],
            id="unreachable",
        ),
        pytest.param(
            [FETCH, "- {name: way, type: route, rules: [{when: 'true', to: tel}]}", PING],
            ["7: steps[1].rules[0].to: there is no step 'tel'. Did you mean 'tell'?"],
            id="a route to nowhere",
        ),
        pytest.param(
            [FETCH, "- {name: way, type: route, rules: [{when: 'true', to: next}], otherwise: read}"],
            ["7: steps[1].otherwise: 'read' is not a later step: a flow has no loops"],
            id="a route backwards",
        ),
        pytest.param(
            [FETCH, "- {name: way, type: route, rules: [{when: 'true', to: way}]}", PING],
            ["7: steps[1].rules[0].to: 'way' is not a later step: a flow has no loops"],
            id="a route to itself",
        ),
        pytest.param(
            [FETCH, PING.replace("}", ", on_failure: go to tale}"), AUTO],
            ["7: steps[1].on_failure: there is no step 'tale'. Valid: blog, read, tell"],
            id="on_failure to nowhere",
        ),
        pytest.param(
            [FETCH, PING.replace("}", ", on_failure: go to read}")],
            ["7: steps[1].on_failure: 'read' is not a later step: a flow has no loops"],
            id="on_failure backwards",
        ),
        pytest.param(
            [FETCH, PING, PING],
            ["8: steps[2].name: 'tell' is the name of two steps: rename one"],
            id="duplicate names",
        ),
        pytest.param(
            [FETCH, "- {name: write, type: ai, prompt: x, tools: [blg]}", PING, BLOG],
            [
                "7: steps[1].tools[0]: there is no publish step 'blg'. Did you mean 'blog'?",
                f"9: steps[3]: {UNSEEN}",
            ],
            id="a tool that is no publish step",
        ),
        pytest.param(
            [FETCH, "- {name: write, type: ai, prompt: x, tools: [tell]}", PING],
            ["7: steps[1].tools[0]: there is no publish step 'tell'"],
            id="a tool that is another kind of step",
        ),
        pytest.param(
            [FETCH, "- {name: write, type: ai, prompt: x, tools: [blog]}", AUTO],
            ["7: steps[1].tools[0]: 'blog' is mode: auto, so nobody calls it"],
            id="a tool that nobody calls",
        ),
        pytest.param(
            [FETCH, PING.replace("}", ", whem: 'true'}")],
            ["7: steps[1].whem: unknown key. Did you mean 'when'?"],
            id="unknown key",
        ),
        pytest.param(
            [FETCH, "- {name: tell, type: pong, connection: hook}"],
            ["7: steps[1]: type: 'pong' is not possible. Did you mean 'ping'?"],
            id="unknown type of step",
        ),
        pytest.param(
            [FETCH, "- {name: tell, connection: hook}"], ["7: steps[1]: type: is missing"], id="no type"
        ),
        pytest.param(
            [FETCH, "- {name: tell, type: ping}"], ["7: steps[1].connection: is missing"], id="missing key"
        ),
        pytest.param(
            [FETCH.replace("url:", "uri:")],
            [
                "6: steps[0].source.url: is missing",
                "6: steps[0].source.uri: unknown key. Did you mean 'url'?",
            ],
            id="in a source",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(steps: list[str], problems: list[str]) -> None:
    assert wrong(*steps) == problems


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_name_that_means_something_else_is_refused(name: str) -> None:
    [problem] = wrong(FETCH, PING.replace("tell", name))
    assert problem == f"7: steps[1].name: {name!r} has a meaning of its own: choose another name"


@pytest.mark.parametrize("place", ["when", "rule"])
def test_a_condition_that_is_none_is_refused_with_its_column(place: str) -> None:
    condition = "size(item.images) >> 0"
    if place == "when":
        [problem] = wrong(FETCH, f"- name: tell\n  type: ping\n  when: {condition}\n  connection: hook")
        assert problem.startswith("9: steps[1].when: ")
    else:
        [problem] = wrong(FETCH, f"- name: way\n  type: route\n  rules:\n  - when: {condition}\n    to: end")
        assert problem.startswith("10: steps[1].rules[0].when: ")
    assert "column 20" in problem


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (
            "- name: write\n  type: ai\n  prompt: |\n    Write about\n    {{ itm.title }}",
            "9: steps[1].prompt: line 2 of the template: unknown variable 'itm'. Did you mean 'item'?",
        ),
        (
            "- name: write\n  type: ai\n  prompt: '{{ item.titel }}'",
            "9: steps[1].prompt: 'dict object' has no",
        ),
        (
            "- name: write\n  type: ai\n  prompt: '{{ item.title'",
            "9: steps[1].prompt: line 1 of the template: ",
        ),
        ("- name: write\n  type: ai\n  prompt: x\n  system: '{{ nope }}'", "10: steps[1].system: line 1"),
        (
            "- name: tell\n  type: ping\n  connection: c\n  message: '{{ nope }}'",
            "10: steps[1].message: line 1",
        ),
        ("- name: look\n  type: gate\n  by: time\n  subject: '{{ nope }}'", "10: steps[1].subject: line 1"),
        ("- name: draw\n  type: media\n  prompt: x\n  alt: '{{ nope }}'", "10: steps[1].alt: line 1"),
        (
            "- name: write\n  type: ai\n  prompt: '{{ results.wirte.text }}'",
            "9: steps[1].prompt: 'dict object' has no attribute 'wirte'",
        ),
        (
            "- name: write\n  type: ai\n  prompt: '{{ ().__class__.__bases__ }}'",
            "9: steps[1].prompt: access to attribute '__class__' of 'tuple' object is unsafe.",
        ),
    ],
)
def test_a_template_that_fails_is_refused(step: str, problem: str) -> None:
    [found] = wrong(FETCH, step)
    assert found.startswith(problem)


def test_all_that_is_wrong_is_said_at_once() -> None:
    steps = [FETCH, BLOG.replace("wordpress", "wix"), PING.replace("}", ", on_failure: go to mars}")]
    assert [one.split(":")[0] for one in wrong(*steps)] == ["7", "7", "8"]


@pytest.mark.parametrize(
    ("trigger", "problem"),
    [
        ("trigger: {cron: '0 6 * *'}", "cron '0 6 * *' is not a five-field cron expression"),
        ("trigger: {cron: '0 6 * * *', asset: 's3://drop/news'}", "cron and asset: a flow has one schedule"),
        ("trigger: {webhok: c}", "trigger.webhok: unknown key. Did you mean 'webhook'?"),
    ],
)
def test_a_trigger_that_cannot_be_is_refused(trigger: str, problem: str) -> None:
    _, [found] = loading.read_text(f"{text(FETCH)}{trigger}\n", "a.yaml")
    assert found.startswith("a.yaml:7: Flow news: trigger")
    assert found.endswith(problem)


# What is possible -----------------------------------------------------------------------------------------

PIN = "- {name: pin, type: publish, to: pinterest}"
TWEET = "- {name: tweet, type: publish, to: x}"
COPY = "- {name: copy_pin, type: ai, prompt: 'A pin for {{ results.blog.url }}'}"
TWEET_COPY = "- {name: copy_tweet, type: ai, prompt: 'A post for {{ results.blog.url }}'}"
GATE = "- {name: look, type: gate, by: webhook, timeout_hours: 24}"
MEDIA = "- {name: draw, type: media, prompt: 'Something like {{ item.title }}'}"
ROUTE = "- {name: way, type: route, rules: [{when: 'size(item.images) > 0', to: next}], otherwise: end}"


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([FETCH, MEDIA, WRITE, BLOG, COPY, PIN], id="content and Pinterest"),
        pytest.param(
            [FETCH, MEDIA, WRITE, BLOG, PING, GATE, COPY, PIN], id="content, a review gate and Pinterest"
        ),
        pytest.param(
            [FETCH, MEDIA, WRITE, BLOG, COPY, PIN, TWEET_COPY, TWEET], id="content and several platforms"
        ),
        pytest.param(
            [FETCH, MEDIA, WRITE.replace("}}'}", "}}', tools: all}"), BLOG, PIN, TWEET], id="one for three"
        ),
        pytest.param(
            [FETCH, MEDIA, WRITE.replace("}}'}", "}}', tools: [blog, pin]}"), BLOG, PIN], id="one for two"
        ),
        pytest.param([FETCH, WRITE, PING, AUTO], id="no decision at all"),
        pytest.param([FETCH, ROUTE, WRITE, BLOG], id="a route"),
        pytest.param([GATE], id="only a gate"),
        pytest.param([FETCH], id="only a fetch"),
        pytest.param([AUTO, FETCH], id="published first, fetched last"),
    ],
)
def test_patterns_that_are_accepted(steps: list[str]) -> None:
    assert len(right(*steps).steps) == len(steps)


def test_any_type_at_any_place_any_number_of_times() -> None:
    kinds = [FETCH, WRITE, AUTO, PING, GATE, ROUTE, MEDIA]
    for first in kinds:
        steps = [first, *kinds, *kinds, first]
        named = [
            one.replace("name: ", f"name: s{number}_").replace("otherwise: end", "otherwise: next")
            for number, one in enumerate(steps)
        ]
        assert len(right(*named).steps) == len(steps)


def test_a_publisher_is_seen_by_its_neighbours_or_by_whom_names_it() -> None:
    flow = right(FETCH, MEDIA, WRITE, BLOG, COPY, PIN, TWEET_COPY, TWEET)
    seen = {one.name: [to.name for to in flow.visible(at)] for at, one in enumerate(flow.steps)}
    assert {name: to for name, to in seen.items() if to} == {
        "write": ["blog"], "copy_pin": ["blog", "pin"], "copy_tweet": ["pin", "tweet"],
    }  # fmt: skip
    wide = right(FETCH, MEDIA, WRITE.replace("}}'}", "}}', tools: all}"), BLOG, PIN, TWEET)
    assert [to.name for to in wide.visible(2)] == ["blog", "pin", "tweet"]
    chosen = right(FETCH, MEDIA, WRITE.replace("}}'}", "}}', tools: [pin, blog]}"), BLOG, PIN)
    assert [to.name for to in chosen.visible(2)] == ["blog", "pin"]


def test_the_empty_choice_of_tools_is_a_choice() -> None:
    flow = right(FETCH, WRITE.replace("}}'}", "}}', tools: []}"), AUTO)
    assert list(flow.visible(1)) == []
    assert isinstance(flow.steps[1], AiStep)


def test_a_step_that_is_led_to_only_by_a_failure_is_reached() -> None:
    right(FETCH, PING.replace("}", ", on_failure: go to rescue}"), ROUTE.replace("next", "skip"),
          "- {name: rescue, type: ping, connection: hook}")  # fmt: skip


def test_a_route_that_may_be_passed_over_leads_on() -> None:
    route = (
        "- {name: way, type: route, when: 'has(item.url)', rules: [{when: 'true', to: end}], otherwise: end}"
    )
    right(FETCH, route, PING)


def test_every_connection_that_is_needed_is_known_with_its_place() -> None:
    flow = right(FETCH, WRITE, BLOG, "- {name: draw, type: media, prompt: a picture}",
                 PIN.replace("}", ", mode: auto, connection: boards}"), PING,
                 GATE.replace("}", ", notify: chat}"))  # fmt: skip
    assert [(each.path, each.name) for each in names_of(flow)] == [
        (("text", "connection"), "pressroom_text"),
        (("steps", 2, "to"), "pressroom_wordpress"),
        (("steps", 4, "connection"), "boards"),
        (("steps", 5, "connection"), "hook"),
        (("steps", 6, "notify"), "chat"),
    ]
