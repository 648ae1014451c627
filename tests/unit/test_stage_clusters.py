"""Clustering: whatever the model answers, every keyword lands in exactly one group."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import cast

import pytest

from pressroom.adapters.models.similarity import WordLlamaSimilarity
from pressroom.domain.definitions import Charges
from pressroom.domain.text import normalize
from pressroom.pipelines.site import clusters
from pressroom.pipelines.site.grouping import (
    ClusterToSave,
    ExistingCluster,
    Keyword,
    Proposal,
    compared,
    reconcile,
    same_meaning,
)
from pressroom.testing import FakeEmbeddings, FakeSimilarity, FakeText, tools

TEXTS = [
    "best burr coffee grinder", "manual coffee grinder", "how to grind coffee beans", "french press ratio",
    "how to use a french press", "cold brew ratio", "how long to steep cold brew",
    "espresso machine for home",
    "descale espresso machine", "milk frother", "how to froth milk", "latte art",
]  # fmt: skip
KEYWORDS = [Keyword(100 + n, text) for n, text in enumerate(TEXTS)]
REAL = WordLlamaSimilarity()


def known(*names: str, disabled: bool = False) -> list[ExistingCluster]:
    return [ExistingCluster(n, name, normalize(name), disabled) for n, name in enumerate(names, start=1)]


def ids(groups: list[ClusterToSave]) -> list[int]:
    return sorted(keyword.id for group in groups for keyword in group.keywords)


GARBAGE = [
    "",
    " ",
    "###",
    "12",
    "\u200b",
    "Coffee Grinders",
    "coffee grinder",
    "French Press",
    "x" * 500,
    "<b>Milk</b>",
]


@pytest.mark.parametrize("seed", range(60))
def test_every_keyword_lands_in_exactly_one_group_whatever_comes_back(seed: int) -> None:
    dice = random.Random(seed)  # no secret
    proposals = [
        Proposal(
            dice.choice(GARBAGE),
            dice.choice(GARBAGE),
            [dice.randint(-3, 30) for _ in range(dice.randint(0, 9))],
        )
        for _ in range(dice.randint(0, 8))
    ]
    existing = known(*dice.sample(["French press", "Grinders", "Milk"], dice.randint(0, 3)))
    groups = reconcile(KEYWORDS, existing, proposals, REAL if seed % 2 else FakeSimilarity())
    assert ids(groups) == [keyword.id for keyword in KEYWORDS]
    assert all(group.keywords and group.name and len(group.name) <= 60 for group in groups)
    names = [normalize(group.name) for group in groups]
    assert len(set(names)) == len(names)
    extended = [group.known for group in groups if group.known is not None]
    assert len(set(extended)) == len(extended)


def test_a_number_used_twice_counts_for_the_first_and_an_unknown_one_for_none() -> None:
    groups = reconcile(
        KEYWORDS[:3],
        [],
        [Proposal("Alpha", "", [1, 1, 2, 99, 0]), Proposal("Beta", "", [2, 3])],
        FakeSimilarity(),
    )
    assert [(group.name, [k.id for k in group.keywords]) for group in groups] == [
        ("Alpha", [100, 101]),
        ("Beta", [102]),
    ]


def test_a_left_over_joins_the_nearest_group_or_its_like() -> None:
    groups = reconcile(KEYWORDS, [], [Proposal("Coffee Grinders", "", [1])], REAL)
    by_name = {group.name: [k.text for k in group.keywords] for group in groups}
    assert set(by_name["Coffee Grinders"]) >= {TEXTS[0], TEXTS[1], TEXTS[2]}
    home = {keyword.text: group.name for group in groups for keyword in group.keywords}
    assert home["milk frother"] == home["how to froth milk"] != home["descale espresso machine"]
    assert home["french press ratio"] == home["how to use a french press"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Coffee Grinders", "coffee grinder guide"),
        ("Espresso Machines", "Home Espresso Machines"),
        ("Milk Frothing", "Frothing milk at home"),
        ("Coffee Beans", "Choosing Coffee Beans"),
        ("Cold-Brew", "cold brew"),
        ("Password Managers", "A beginner guide to password manager"),
    ],
)
def test_same_meaning(one: str, other: str) -> None:
    assert same_meaning(one, ["Something else", other], REAL) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Coffee Grinders", "Coffee Makers"),
        ("Espresso Machines", "Espresso machine cleaning"),
        ("Running shoes", "Trail running shoes"),
        ("French Press Coffee", "Pour Over Coffee"),
        ("Milk Frothing", "Milk Alternatives"),
        ("Dog Food", "Cat Food"),
    ],
)
def test_another_meaning(one: str, other: str) -> None:
    assert same_meaning(one, [other], REAL) is None


def test_a_cluster_of_the_same_meaning_is_extended_not_made_twice() -> None:
    groups = reconcile(
        KEYWORDS[:2], known("Coffee Grinders"), [Proposal("Coffee grinder guide", "d", [1, 2])], REAL
    )
    assert [(group.known, group.name) for group in groups] == [(1, "Coffee Grinders")]


def test_two_proposals_of_one_meaning_become_one() -> None:
    proposals = [Proposal("Coffee Grinders", "d", [1]), Proposal("Guide to coffee grinders", "", [2])]
    groups = reconcile(KEYWORDS[:2], [], proposals, REAL)
    assert [group.name for group in groups] == ["Coffee Grinders"]


def test_a_disabled_cluster_takes_its_own_name_only() -> None:
    hidden = known("Coffee Grinders", disabled=True)
    exact = reconcile(KEYWORDS[:1], hidden, [Proposal("coffee  grinders", "", [1])], REAL)
    alike = reconcile(KEYWORDS[:1], hidden, [Proposal("Coffee grinder guide", "", [1])], REAL)
    assert [exact[0].known, alike[0].known] == [1, None]


def test_a_name_that_says_nothing_comes_from_the_keywords() -> None:
    groups = reconcile(KEYWORDS[:2], [], [Proposal(" ## 12", "", [1, 2])], REAL)
    assert groups[0].name in TEXTS[:2]


async def test_the_model_sees_numbered_keywords_and_the_nearest_clusters() -> None:
    text = FakeText(
        {"clusters": {"clusters": [{"name": "Grinders", "keywords": [1, 2], "description": "d"}]}}
    )
    group = clusters.Group(KEYWORDS, known("Milk frother", "Tax law"))
    groups = await clusters.process(group, tools(text=text))
    assert "1. best burr coffee grinder" in text.prompts[0].user
    assert text.prompts[0].user.index("Milk frother") < text.prompts[0].user.index("Tax law")
    assert ids(list(groups)) == [keyword.id for keyword in KEYWORDS]


@pytest.mark.parametrize(
    ("count", "size"), [(5, 20), (21, 20), (41, 20), (48, 20), (100, 20), (81, 20), (7, 5)]
)
def test_groups_are_even_and_stay_the_same_when_some_are_done(count: int, size: int) -> None:
    groups = clusters.groups_of(list(range(count)), size)
    assert [n for group in groups for n in group] == list(range(count))
    assert max(map(len, groups)) <= size
    assert max(map(len, groups)) - min(map(len, groups)) <= 1
    assert clusters.groups_of(list(range(len(groups[0]), count)), size) == groups[1:] or len(groups) == 1


def test_the_charges_of_the_groups_add_up_to_a_fifth_of_the_keywords() -> None:
    charges = Charges()
    for count in range(5, 200):
        total = sum(clusters.price(charges, len(g)) for g in clusters.groups_of(range(count), 20))
        assert total == Decimal(count) / 5


def test_a_groups_key_does_not_depend_on_order() -> None:
    assert clusters.key_of([3, 1, 2]) == clusters.key_of([1, 2, 3]) != clusters.key_of([1, 23])


def test_similarity_needs_no_network_and_takes_any_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("network used")

    monkeypatch.setattr("socket.socket.connect", refuse)
    rows = WordLlamaSimilarity().matrix(["", "\u4e2d\u6587", "tea"], ["tea", ""])
    assert all(-1.01 <= value <= 1.01 for row in rows for value in row)
    assert rows[2][0] == pytest.approx(1, abs=0.01)
    assert WordLlamaSimilarity().matrix([], ["a"]) == []
    assert WordLlamaSimilarity().matrix(["a"], []) == [[]]


class Strict:
    """Knows the texts that it was asked for, as an embedding model's vectors do."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.known = set(texts)

    def matrix(self, left: Sequence[str], right: Sequence[str]) -> Sequence[Sequence[float]]:
        assert set(left) | set(right) <= self.known
        return FakeSimilarity().matrix(left, right)


@pytest.mark.parametrize("seed", range(60))
def test_all_that_is_compared_is_asked_for_beforehand(seed: int) -> None:
    dice = random.Random(seed)  # no secret
    keywords = [*KEYWORDS, Keyword(999, "Long " * 30 + "Tail")]
    proposals = [
        Proposal(dice.choice([*GARBAGE, *TEXTS]), "", dice.sample(range(-1, 16), dice.randrange(6)))
        for _ in range(dice.randrange(8))
    ]
    here = known(*dice.sample(["Milk", "French Press", "COFFEE Grinder", "Tea"], dice.randrange(5)))
    similarity = Strict(compared(keywords, here, proposals))
    assert ids(reconcile(keywords, here, proposals, similarity)) == sorted(k.id for k in keywords)
    clusters.nearest(clusters.Group(keywords, here), Strict(compared(keywords, here)))


async def test_a_group_pays_for_the_closeness_of_what_it_compares() -> None:
    desk = tools(text=FakeText({"clusters": {"clusters": [
        {"name": "Milk Drinks", "keywords": [10, 11, 12], "description": ""}]}}))  # fmt: skip
    await clusters.process(clusters.Group(KEYWORDS, known("Tea")), desk)
    first, second = cast(FakeEmbeddings, desk.embeddings).asked
    assert set(second) - set(first) == {"milk drinks"}
    assert {"tea", *TEXTS} <= set(first)
