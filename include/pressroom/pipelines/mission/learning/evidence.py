"""Which levels did better or worse than the others of their factor, tested and corrected.

For each platform one ordinary least squares regression of the response on all choices at once, so that a
level is compared all else being equal. Standard errors are the classical ones, with Student's t: the response
is a logarithm, whose spread is much the same at every level, and the residuals of all posts estimate it
together. Errors that are robust to unequal spread (HC3) would estimate it from the three or four posts of a
level alone, and far out in the tails, where a corrected p-value is decided, find what is not there.

Posts are not allotted by a fair coin: a bandit gives fewer to what did badly at first, bad luck included,
which then never evens out. In simulations without any preferences this nearly doubles the false findings of
a long mission, so every corrected p-value is doubled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pressroom.domain.social import Platform
from pressroom.domain.strategy import Finding
from pressroom.pipelines.mission.learning.posterior import Array, Row

LEAST_POSTS = 3
"""A level is compared when so many posts have it, and as many do not."""

LEAST_FREEDOM = 8
"""Posts more than coefficients that a regression needs before its errors mean anything."""

ADAPTIVE = 2.0
"""What a corrected p-value is multiplied by, because the posts were allotted in view of earlier results."""

_REST = ""
"""Stands for all topics with too few posts to be told apart."""


@dataclass(frozen=True)
class _Column:
    factor: str
    level: str


def compare(rows: Sequence[Row]) -> list[Finding]:
    """Every comparison that the posts permit, over all platforms, p-values corrected (Holm, then doubled).

    Levels whose effect cannot be told from that of other choices, and platforms with too few posts for their
    number of choices, are left out. Of a factor with two levels, one comparison is made: that of the better.
    """
    found: list[Finding] = []
    for platform in sorted({row.platform for row in rows}):
        own = [row for row in rows if row.platform == platform]
        found += _regress(platform, own, without="topic", only=None)
        # A topic belongs to a pillar: with both in one regression neither could be told from the other.
        found += _regress(platform, _frequent_topics(own), without="pillar", only="topic")
    return _corrected(found)


def _corrected(found: Sequence[Finding]) -> list[Finding]:
    corrected = holm([one.p_value for one in found])
    return [
        replace(one, p_value=min(1.0, ADAPTIVE * value)) for one, value in zip(found, corrected, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction, in the order given.

    statsmodels has it too, at the price of a full garbage collection a call.
    """
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _frequent_topics(rows: Sequence[Row]) -> list[Row]:
    counts = Counter(row.choices.get("topic") for row in rows)
    return [
        replace(row, choices={**row.choices, "topic": topic if counts[topic] >= LEAST_POSTS else _REST})
        for row in rows
        if (topic := row.choices.get("topic"))
    ]


def _regress(platform: Platform, rows: Sequence[Row], *, without: str, only: str | None) -> list[Finding]:
    """The comparisons within the factors of one platform, p-values uncorrected."""
    columns = _columns(rows, without)
    targets = [one for one in columns if only in (None, one.factor) and one.level != _REST]
    if not targets:
        return []
    design = np.column_stack(
        [np.ones(len(rows))]
        + [[float(row.choices.get(one.factor) == one.level) for row in rows] for one in columns]
    )
    basis = _row_space(design)
    response = np.array([row.response for row in rows])
    if len(rows) - len(basis) < LEAST_FREEDOM:
        return []
    posts = design[:, 1:].sum(axis=0)
    tested, contrasts = [], []
    for target in targets:
        contrast = _contrast(target, columns, posts)
        # Estimable: a combination of rows that were observed.
        if contrast is not None and np.allclose(contrast @ basis.T @ basis, contrast, atol=1e-6):
            tested.append(target)
            contrasts.append(contrast)
    if not tested:
        return []
    return _tested(platform, design, basis, response, tested, np.array(contrasts))


def _tested(
    platform: Platform,
    design: Array,
    basis: Array,
    response: Array,
    tested: Sequence[_Column],
    contrasts: Array,
) -> list[Finding]:
    from statsmodels.regression.linear_model import OLS

    # In the basis of its rows the design has full rank, and every estimable contrast stays what it was.
    fit = OLS(response, design @ basis.T).fit()
    if fit.scale < 1e-12:
        # Not a trace of noise: posts that all reached the same, from which nothing follows.
        return []
    result = fit.t_test(contrasts @ basis.T)
    low, high = result.conf_int(alpha=0.05).T
    effects, p_values = np.atleast_1d(result.effect), np.atleast_1d(result.pvalue)
    posts = design.sum(axis=0)
    found = []
    for index, target in enumerate(tested):
        found.append(
            Finding(
                platform,
                target.factor,
                target.level,
                ratio=float(np.exp(effects[index])),
                low=float(np.exp(low[index])),
                high=float(np.exp(high[index])),
                posts=round(float(posts[contrasts[index] > 0].sum())),
                others=round(float(posts[contrasts[index] < 0].sum())),
                p_value=float(p_values[index]),
            )
        )
    return _one_of_two(found, tested)


def _one_of_two(found: Sequence[Finding], tested: Sequence[_Column]) -> list[Finding]:
    """Without the mirror images: of a factor with two levels, the better one against the worse."""
    sizes = Counter(one.factor for one in tested)
    kept = []
    for one in found:
        twin = sizes[one.factor] == 2 and any(
            other is not one and other.factor == one.factor and other.posts == one.others
            and other.others == one.posts and (other.ratio, one.level) > (one.ratio, other.level)
            for other in found
        )  # fmt: skip
        if not twin:
            kept.append(one)
    return kept


def _columns(rows: Sequence[Row], without: str) -> list[_Column]:
    """Every level that was seen, factor by factor."""
    seen: Mapping[_Column, None] = {
        _Column(factor, level): None
        for row in rows
        for factor, level in row.choices.items()
        if factor != without
    }
    return sorted(seen, key=lambda one: (one.factor, one.level))


def _contrast(target: _Column, columns: Sequence[_Column], posts: Array) -> Array | None:
    """The level against the others of its factor, each as often as it occurs. None with too few posts."""
    mine = columns.index(target)
    others = [i for i, one in enumerate(columns) if one.factor == target.factor and i != mine]
    number = float(posts[others].sum())
    if posts[mine] < LEAST_POSTS or number < LEAST_POSTS:
        return None
    contrast: Array = np.zeros(len(columns) + 1)
    contrast[1 + mine] = 1
    contrast[[1 + i for i in others]] = -posts[others] / number
    return contrast


def _row_space(design: Array) -> Array:
    """An orthonormal basis of the design's rows, one a row."""
    _, values, rows = np.linalg.svd(design, full_matrices=False)
    found: Array = rows[values > 1e-9 * values[0]]
    return found
