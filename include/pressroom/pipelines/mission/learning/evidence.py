"""Which levels did better or worse than the others of their factor, tested and corrected.

Each platform has one ordinary least squares regression of the response on all choices at once, so that a
level is compared all else being equal. Standard errors are classical, with Student's t: the response is a
logarithm with much the same spread at every level, so the residuals of all posts estimate it together. Robust
errors (HC3) would estimate it from the three or four posts of one level, and report false findings in the far
tails, where a corrected p-value is decided.

Posts are not allotted by a fair coin: a bandit gives fewer posts to a level that had bad luck at first, and
that luck never evens out. In simulations without any preferences this nearly doubles the false findings of a
long mission, so every corrected p-value is doubled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pressroom.domain.social import Platform
from pressroom.domain.strategy import Finding
from pressroom.pipelines.mission.learning.posterior import Array, Sample

LEAST_POSTS = 3
"""A level is compared when this many posts have it, and this many do not."""

LEAST_FREEDOM = 8
"""How many more posts than coefficients a regression needs for its errors to mean anything."""

ADAPTIVE = 2.0
"""The factor on corrected p-values: posts are allotted by earlier results."""

_REST = ""
"""The level of all topics that have too few posts of their own."""


@dataclass(frozen=True)
class _Column:
    factor: str
    level: str


def compare(rows: Sequence[Sample]) -> list[Finding]:
    """Every comparison that the posts permit, over all platforms, p-values corrected (Holm, then doubled).

    Left out are levels whose effect cannot be separated from other choices, and platforms with too few posts
    for their number of choices. A factor with two levels has one comparison: that of the better level.
    """
    findings: list[Finding] = []
    for platform in sorted({row.platform for row in rows}):
        own = [row for row in rows if row.platform == platform]
        findings += _regress(platform, own, without="topic", only=None)
        # A topic belongs to a pillar: one regression could not separate their effects.
        findings += _regress(platform, _frequent_topics(own), without="pillar", only="topic")
    return _corrected(findings)


def _corrected(findings: Sequence[Finding]) -> list[Finding]:
    corrected = holm([finding.p_value for finding in findings])
    return [
        replace(finding, p_value=min(1.0, ADAPTIVE * value))
        for finding, value in zip(findings, corrected, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction, in the order given.

    statsmodels has it too, but runs a full garbage collection in each call.
    """
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected


def _frequent_topics(rows: Sequence[Sample]) -> list[Sample]:
    counts = Counter(row.choices.get("topic") for row in rows)
    return [
        replace(row, choices={**row.choices, "topic": topic if counts[topic] >= LEAST_POSTS else _REST})
        for row in rows
        if (topic := row.choices.get("topic"))
    ]


def _regress(platform: Platform, rows: Sequence[Sample], *, without: str, only: str | None) -> list[Finding]:
    """The comparisons within the factors of one platform, p-values uncorrected."""
    columns = _columns(rows, without)
    targets = [column for column in columns if only in (None, column.factor) and column.level != _REST]
    if not targets:
        return []
    design = np.column_stack(
        [np.ones(len(rows))]
        + [[float(row.choices.get(column.factor) == column.level) for row in rows] for column in columns]
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

    # In the basis of its rows the design has full rank, and every estimable contrast keeps its value.
    fit = OLS(response, design @ basis.T).fit()
    if fit.scale < 1e-12:
        # No noise at all: the posts all reached the same, and nothing follows from that.
        return []
    result = fit.t_test(contrasts @ basis.T)
    low, high = result.conf_int(alpha=0.05).T
    effects, p_values = np.atleast_1d(result.effect), np.atleast_1d(result.pvalue)
    posts = design.sum(axis=0)
    findings = []
    for index, target in enumerate(tested):
        findings.append(
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
    return _one_of_two(findings, tested)


def _one_of_two(findings: Sequence[Finding], tested: Sequence[_Column]) -> list[Finding]:
    """Drop mirror images: a factor with two levels keeps the better level against the worse."""
    sizes = Counter(column.factor for column in tested)
    kept = []
    for finding in findings:
        twin = sizes[finding.factor] == 2 and any(
            other is not finding and other.factor == finding.factor and other.posts == finding.others
            and other.others == finding.posts and (other.ratio, finding.level) > (finding.ratio, other.level)
            for other in findings
        )  # fmt: skip
        if not twin:
            kept.append(finding)
    return kept


def _columns(rows: Sequence[Sample], without: str) -> list[_Column]:
    """Every level that posts had, by factor."""
    seen: Mapping[_Column, None] = {
        _Column(factor, level): None
        for row in rows
        for factor, level in row.choices.items()
        if factor != without
    }
    return sorted(seen, key=lambda column: (column.factor, column.level))


def _contrast(target: _Column, columns: Sequence[_Column], posts: Array) -> Array | None:
    """The level against the others of its factor, weighted by their posts. None with too few posts."""
    place = columns.index(target)
    others = [i for i, column in enumerate(columns) if column.factor == target.factor and i != place]
    number = float(posts[others].sum())
    if posts[place] < LEAST_POSTS or number < LEAST_POSTS:
        return None
    contrast: Array = np.zeros(len(columns) + 1)
    contrast[1 + place] = 1
    contrast[[1 + i for i in others]] = -posts[others] / number
    return contrast


def _row_space(design: Array) -> Array:
    """An orthonormal basis of the design's rows, one a row."""
    _, values, rows = np.linalg.svd(design, full_matrices=False)
    basis: Array = rows[values > 1e-9 * values[0]]
    return basis
