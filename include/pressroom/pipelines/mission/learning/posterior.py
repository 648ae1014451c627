"""The posterior of every level's effect: a Bayesian regression over all platforms.

The response (a logarithm) is a platform's mean plus one effect for each choice. An effect has two parts: one
that is the same on all platforms, and one for each platform, so that platforms learn from each other as far
as they agree. All effects have a normal prior around 0, which keeps those with few posts small. The size of
effects and of the noise is estimated too: both lie on a grid, weighted by how well they explain the data. A
level that was never tried keeps the prior, so that it stays worth a try.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pressroom.domain.social import Platform

Array = npt.NDArray[np.float64]

EFFECT_SIZES = (0.2, 0.3, 0.45)
"""The considered standard deviations of an effect's prior, in logarithms, equally likely beforehand.

All are large enough for a first week's posts to move the weights.
"""

NOISES = (0.15, 0.2, 0.27, 0.36, 0.48, 0.64, 0.85, 1.15, 1.5)
"""The considered standard deviations of the noise."""

SHARED = 0.3
"""The part of an effect's prior variance that is common to all platforms."""

_MEAN_SD = 10.0
"""Prior standard deviation of a platform's mean, in units of an effect's. The response is centred first."""


@dataclass(frozen=True)
class Sample:
    """A post: its levels, and the logarithm of its metric."""

    platform: Platform
    choices: Mapping[str, str]
    response: float


@dataclass(frozen=True)
class Posterior:
    """Draws of the effects. ``draws``: a row for each draw, a column for each coefficient."""

    draws: Array
    _columns: Mapping[tuple[Platform | None, str, str], int]

    def effects(self, platform: Platform, factor: str, levels: Sequence[str]) -> Array:
        """Draws of the effect of each level on a platform, shaped draws × levels."""
        own = [self._columns[platform, factor, level] for level in levels]
        shared = [self._columns[None, factor, level] for level in levels]
        effects: Array = self.draws[:, own] + self.draws[:, shared]
        return effects


def posterior(
    rows: Sequence[Sample],
    levels: Mapping[Platform, Mapping[str, Sequence[str]]],
    draws: int,
    dice: np.random.Generator,
) -> Posterior:
    """Draws from the joint posterior of all effects. ``levels``: those with a coefficient, seen or not.

    All other levels count as noise.
    """
    columns = _columns(levels)
    scales = np.array([_scale(key) for key in columns])
    design = np.zeros((len(rows), len(columns)))
    for index, row in enumerate(rows):
        design[index, columns[row.platform, "", ""]] = 1
        for factor, level in row.choices.items():
            if level in levels[row.platform].get(factor, ()):
                design[index, columns[row.platform, factor, level]] = 1
                design[index, columns[None, factor, level]] = 1
    scaled = design * scales
    # In the basis of the Gram matrix's eigenvectors the coefficients are independent, for any prior.
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    values = np.maximum(values, 0.0)
    projected = vectors.T @ (scaled.T @ _centred(rows))
    likely = _likely(values, projected, rows)
    blocks = []
    counts = dice.multinomial(draws, [weight for *_, weight in likely])
    for (effect, noise, _), count in zip(likely, counts, strict=True):
        if count:
            variance = 1 / (values / noise**2 + 1 / effect**2)
            mean = variance * projected / noise**2
            blocks.append(mean + np.sqrt(variance) * dice.standard_normal((count, len(columns))))
    return Posterior(np.concatenate(blocks) @ vectors.T * scales, columns)


def _columns(
    levels: Mapping[Platform, Mapping[str, Sequence[str]]],
) -> dict[tuple[Platform | None, str, str], int]:
    keys: dict[tuple[Platform | None, str, str], None] = {}
    for platform, factors in levels.items():
        keys[platform, "", ""] = None
        for factor, among in factors.items():
            for level in among:
                keys[platform, factor, level] = None
                keys[None, factor, level] = None
    return {key: index for index, key in enumerate(keys)}


def _scale(key: tuple[Platform | None, str, str]) -> float:
    platform, factor, _ = key
    if not factor:
        return _MEAN_SD
    return float(np.sqrt(SHARED if platform is None else 1 - SHARED))


def _centred(rows: Sequence[Sample]) -> Array:
    """Responses less their platform's mean."""
    responses = np.array([row.response for row in rows])
    for platform in {row.platform for row in rows}:
        own = np.array([row.platform == platform for row in rows])
        responses[own] -= responses[own].mean()
    return responses


def _likely(values: Array, projected: Array, rows: Sequence[Sample]) -> list[tuple[float, float, float]]:
    """Every pair of effect size and noise, with its probability given the data."""
    response = _centred(rows)
    used = values > 1e-9 * max(1.0, float(values.max(initial=0.0)))
    values, squares = values[used], projected[used] ** 2 / values[used]
    unexplained = max(0.0, float(response @ response - squares.sum()))
    pairs = [(effect, noise) for effect in EFFECT_SIZES for noise in NOISES]
    logs = []
    for effect, noise in pairs:
        spread = noise**2 + effect**2 * values
        fit = np.log(spread).sum() + (squares / spread).sum() + unexplained / noise**2
        logs.append(-(fit + (len(rows) - len(values)) * np.log(noise**2)) / 2)
    weights = np.exp(np.array(logs) - max(logs))
    weights /= weights.sum()
    return [(effect, noise, float(w)) for (effect, noise), w in zip(pairs, weights, strict=True)]
