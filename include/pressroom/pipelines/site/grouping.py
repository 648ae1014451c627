"""Which cluster each keyword lands in, whatever the model answered. Pure: similarity is handed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

from pressroom.domain.model import Similarity
from pressroom.domain.text import normalize
from pressroom.pipelines.answers import clip, says_something

SAME_NAME = 0.88
"""From here on two names mean the same. Tried on pairs of real names: "Choosing coffee beans" is "Coffee
beans" (0.93), "Home espresso machines" is "Espresso machines" (0.91), yet "Trail running shoes" is not
"Running shoes" (0.85), nor "Espresso machine cleaning" "Espresso machines" (0.85)."""

BELONGS = 0.45
"""From here on a keyword that the model left out belongs to a cluster of that name or with such a keyword."""

TOGETHER = 0.4
"""From here on, on average, left-over keywords share a cluster of their own."""

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
    """A keyword in work."""

    id: int
    text: str


@dataclass(frozen=True)
class Known:
    """A cluster that the site has. A disabled one is extended by its exact name only."""

    id: int
    name: str
    normalized: str
    disabled: bool


@dataclass(frozen=True)
class Proposal:
    """A cluster as the model answered it: anything may be wrong with it. Numbers count from 1."""

    name: str
    description: str
    numbers: Sequence[int]


@dataclass
class Grouped:
    """A cluster to save. ``known``: the id of the one it extends, None for a new one."""

    name: str
    description: str
    known: int | None
    keywords: list[Keyword] = field(default_factory=list)


def reconcile(
    keywords: Sequence[Keyword],
    known: Sequence[Known],
    proposals: Sequence[Proposal],
    similarity: Similarity,
) -> list[Grouped]:
    """Every keyword in exactly one group, none invented, no two groups of one meaning, none empty."""
    groups: list[Grouped] = []
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


def same_meaning(name: str, others: Sequence[str], similarity: Similarity) -> int | None:
    """The index of the name that means the same, None when there is none."""
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
    groups: list[Grouped],
    known: Sequence[Known],
    proposal: Proposal,
    keywords: list[Keyword],
    similarity: Similarity,
) -> None:
    name = clip(proposal.name, NAME_CHARS).strip("#*-\u2022\"'.,:; ")
    if not says_something(name) or name.isdecimal():
        name = _name_from(keywords, similarity)
    group = Grouped(name, clip(proposal.description, DESCRIPTION_CHARS), None)
    exact = next((cluster for cluster in known if cluster.normalized == normalize(name)), None)
    if exact is None:
        enabled = [cluster for cluster in known if not cluster.disabled]
        index = same_meaning(name, [cluster.name for cluster in enabled], similarity)
        exact = None if index is None else enabled[index]
    if exact is not None:
        group = Grouped(exact.name, "", exact.id)
        twin = next((other for other in groups if other.known == exact.id), None)
    else:
        index = same_meaning(name, [other.name for other in groups], similarity)
        twin = None if index is None else groups[index]
    if twin is None:
        groups.append(twin := group)
    twin.keywords.extend(keywords)


def _adopt(
    groups: list[Grouped], known: Sequence[Known], rest: list[Keyword], similarity: Similarity
) -> list[Keyword]:
    """Give left-over keywords to the cluster nearest in meaning; hand back those that none is near to."""
    enabled = [cluster for cluster in known if not cluster.disabled]
    labels: list[tuple[str, Grouped | Known]] = [(group.name, group) for group in groups]
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
        elif isinstance(home, Grouped):
            home.keywords.append(keyword)
        else:
            group = next((group for group in groups if group.known == home.id), None)
            if group is None:
                groups.append(group := Grouped(home.name, "", home.id))
            group.keywords.append(keyword)
    return left


def _clumps(rest: list[Keyword], similarity: Similarity) -> list[list[Keyword]]:
    """Left-over keywords put together by average closeness, the closest first."""
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
    """The keyword that is closest to all the others, as a name."""
    texts = [keyword.text.casefold() for keyword in keywords]
    rows = similarity.matrix(texts, texts)
    best = max(range(len(texts)), key=lambda index: (sum(rows[index]), -len(texts[index])))
    return clip(keywords[best].text, NAME_CHARS) or keywords[best].text[:NAME_CHARS]


def _essence(name: str) -> frozenset[str]:
    words = (word for word in normalize(name).split() if word not in _FILLER)
    return frozenset(word[:-1] if len(word) > 3 and word[-1] == "s" != word[-2] else word for word in words)
