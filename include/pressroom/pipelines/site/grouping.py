"""Assigns each keyword to a cluster, whatever the model answered. Pure functions: similarity is an
argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

from pressroom.domain.markup.html import clip, says_something
from pressroom.domain.model import Similarity
from pressroom.domain.text import normalize

SAME_NAME = 0.88
"""From this similarity on, two names mean the same. Tested on real names: "Choosing coffee beans" is "Coffee
beans" (0.93), "Home espresso machines" is "Espresso machines" (0.91), yet "Trail running shoes" is not
"Running shoes" (0.85), nor "Espresso machine cleaning" "Espresso machines" (0.85)."""

BELONGS = 0.45
"""From this similarity on, a keyword that the model left out joins the cluster of that name or keyword."""

TOGETHER = 0.4
"""From this average similarity on, left-over keywords share a new cluster."""

NAME_CHARS = 60
DESCRIPTION_CHARS = 300

# Words that make a name longer but not different. English, as the rest of the rule is only similarity.
_FILLER_WORDS = (
    "a an the and of for in on at to with your our how what guide guides tips basics overview introduction"
    " ideas complete ultimate beginner beginners choosing understanding about home"
)
_FILLER = frozenset(_FILLER_WORDS.split())


@dataclass(frozen=True)
class Keyword:
    """A keyword to assign."""

    id: int
    text: str


@dataclass(frozen=True)
class ExistingCluster:
    """A cluster of the site. A disabled one is extended only by its exact name."""

    id: int
    name: str
    normalized: str
    disabled: bool


@dataclass(frozen=True)
class Proposal:
    """A cluster as the model answered it, unchecked. ``numbers``: of keywords, from 1."""

    name: str
    description: str
    numbers: Sequence[int]


@dataclass
class ClusterToSave:
    """A cluster to save. ``known``: the id of the cluster that it extends; None for a new one."""

    name: str
    description: str
    known: int | None
    keywords: list[Keyword] = field(default_factory=list)


def reconcile(
    keywords: Sequence[Keyword],
    known: Sequence[ExistingCluster],
    proposals: Sequence[Proposal],
    similarity: Similarity,
) -> list[ClusterToSave]:
    """Groups that hold every keyword exactly once. No group is empty, and no two have the same meaning."""
    groups: list[ClusterToSave] = []
    taken: set[int] = set()
    for proposal in proposals:
        numbers = dict.fromkeys(n for n in proposal.numbers if 1 <= n <= len(keywords) and n not in taken)
        if numbers:
            taken.update(numbers)
            _place(groups, known, proposal, [keywords[n - 1] for n in numbers], similarity)
    rest = [keyword for number, keyword in enumerate(keywords, start=1) if number not in taken]
    for clump in _clumps(_adopt(groups, known, rest, similarity), similarity):
        _place(groups, known, Proposal("", "", ()), clump, similarity)
    return groups


def compared(
    keywords: Sequence[Keyword], known: Sequence[ExistingCluster], proposals: Sequence[Proposal] = ()
) -> list[str]:
    """Every text whose closeness ``reconcile`` may ask for."""
    names = [*(cluster.name for cluster in known), *(_cleaned(proposal.name) for proposal in proposals)]
    names += [_as_name(keyword) for keyword in keywords]
    return [text.casefold() for text in [*(keyword.text for keyword in keywords), *names]]


def same_meaning(name: str, others: Sequence[str], similarity: Similarity) -> int | None:
    """The index of the name that means the same. None when no name does."""
    if not others:
        return None
    words = _essence(name)
    for index, other in enumerate(others):
        if normalize(other) == normalize(name) or (words and _essence(other) == words):
            return index
    row = similarity.matrix([name.casefold()], [other.casefold() for other in others])[0]
    best = max(range(len(others)), key=lambda index: row[index])
    return best if row[best] >= SAME_NAME else None


def _place(
    groups: list[ClusterToSave],
    known: Sequence[ExistingCluster],
    proposal: Proposal,
    keywords: list[Keyword],
    similarity: Similarity,
) -> None:
    name = _cleaned(proposal.name)
    if not says_something(name) or name.isdecimal():
        name = _name_from(keywords, similarity)
    group = ClusterToSave(name, clip(proposal.description, DESCRIPTION_CHARS), None)
    exact = next((cluster for cluster in known if cluster.normalized == normalize(name)), None)
    if exact is None:
        enabled = [cluster for cluster in known if not cluster.disabled]
        index = same_meaning(name, [cluster.name for cluster in enabled], similarity)
        exact = None if index is None else enabled[index]
    if exact is not None:
        group = ClusterToSave(exact.name, "", exact.id)
        twin = next((other for other in groups if other.known == exact.id), None)
    else:
        index = same_meaning(name, [other.name for other in groups], similarity)
        twin = None if index is None else groups[index]
    if twin is None:
        groups.append(twin := group)
    twin.keywords.extend(keywords)


def _adopt(
    groups: list[ClusterToSave], known: Sequence[ExistingCluster], rest: list[Keyword], similarity: Similarity
) -> list[Keyword]:
    """Assign left-over keywords to the nearest cluster. Returns those that are near to none."""
    enabled = [cluster for cluster in known if not cluster.disabled]
    labels: list[tuple[str, ClusterToSave | ExistingCluster]] = [(group.name, group) for group in groups]
    labels += [(keyword.text, group) for group in groups for keyword in group.keywords]
    labels += [(cluster.name, cluster) for cluster in enabled]
    if not labels or not rest:
        return rest
    rows = similarity.matrix([k.text.casefold() for k in rest], [text.casefold() for text, _ in labels])
    left: list[Keyword] = []
    for keyword, row in zip(rest, rows, strict=True):
        best = max(range(len(labels)), key=lambda index: row[index])
        home = labels[best][1]
        if row[best] < BELONGS:
            left.append(keyword)
        elif isinstance(home, ClusterToSave):
            home.keywords.append(keyword)
        else:
            group = next((group for group in groups if group.known == home.id), None)
            if group is None:
                groups.append(group := ClusterToSave(home.name, "", home.id))
            group.keywords.append(keyword)
    return left


def _clumps(rest: list[Keyword], similarity: Similarity) -> list[list[Keyword]]:
    """Left-over keywords in groups, joined by average similarity, the most similar first."""
    texts = [keyword.text.casefold() for keyword in rest]
    rows = similarity.matrix(texts, texts) if rest else []
    clumps = [[index] for index in range(len(rest))]

    def closeness(pair: tuple[int, int]) -> float:
        left, right = clumps[pair[0]], clumps[pair[1]]
        return sum(rows[a][b] for a in left for b in right) / (len(left) * len(right))

    while len(clumps) > 1:
        best = max(combinations(range(len(clumps)), 2), key=closeness)
        if not closeness(best) >= TOGETHER:
            break
        clumps[best[0]] += clumps.pop(best[1])
    return [[rest[index] for index in sorted(clump)] for clump in clumps]


def _name_from(keywords: Sequence[Keyword], similarity: Similarity) -> str:
    """The keyword that is most similar to all others, as a name."""
    texts = [keyword.text.casefold() for keyword in keywords]
    rows = similarity.matrix(texts, texts)
    best = max(range(len(texts)), key=lambda index: (sum(rows[index]), -len(texts[index])))
    return _as_name(keywords[best])


def _as_name(keyword: Keyword) -> str:
    return clip(keyword.text, NAME_CHARS) or keyword.text[:NAME_CHARS]


def _cleaned(name: str) -> str:
    return clip(name, NAME_CHARS).strip("#*-\u2022\"'.,:; ")


def _essence(name: str) -> frozenset[str]:
    words = (word for word in normalize(name).split() if word not in _FILLER)
    return frozenset(word[:-1] if len(word) > 3 and word[-1] == "s" != word[-2] else word for word in words)
