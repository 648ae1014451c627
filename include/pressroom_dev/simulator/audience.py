"""The simulated audience: seeded preferences that a feedback loop can learn, and noise that hides them.

A post's expected engagements are a platform's baseline times one factor for each thing people care about:
the local hour, the weekday, thread or single post, length, picture, number of hashtags, and the hashtags
themselves. The seed decides the preferences. Factors multiply and do not interact.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from pressroom.domain.social import Platform

GROWTH_HOURS = 8.0
"""After this many hours a post has 63 % of its final result; after 24 hours, 95 %."""

PEAK = 1.9
"""The best hour against the mean of the 24 hours, at strength 1."""

_PEAK_WIDTH = 2.0  # hours: standard deviation of the bump around a platform's best hour
_SECOND_PEAK = 0.4  # height of a second, lower bump, as a share of the first
_DAY_PEAK = (1.2, 1.4)  # the best weekday against the mean of the seven, drawn from this range
_FORMAT, _LENGTH, _VISUAL, _COUNT = 1.6, 1.5, 1.6, 1.4  # most that the better of two kinds gets
_LEAST = 0.3  # least of that preference, as a share of its logarithm: nobody is wholly indifferent
_TAG = 2.0  # a single hashtag multiplies by at most this, and by at least 1/this
_MANY_TAGS = 3.0  # hashtags at which few turns into many

_IMPRESSION_NOISE, _RATE_NOISE = 0.8, 0.6  # how the noise divides: 0.8² + 0.6² = 1
_CONTENT_IN_IMPRESSIONS = 0.5  # share of a content preference (in logarithms) that shows as wider reach
_MOST_RATE = 0.5  # no post engages more than half of those who see it
_CLICKS_WITH_LINK, _CLICKS_WITHOUT = 0.3, 0.03  # share of engagements that are clicks on a link
_FOLLOWS = 0.05  # share of engagements that end in a new follower

# Impressions of an average post, engagements per impression, characters in a part of middling length.
_BASE = {
    Platform.TWITTER: (1500, 0.030, 160),
    Platform.LINKEDIN: (1800, 0.035, 500),
    Platform.FACEBOOK: (1200, 0.025, 250),
    Platform.INSTAGRAM: (2000, 0.040, 300),
    Platform.THREADS: (1000, 0.035, 220),
    Platform.BLUESKY: (900, 0.040, 160),
    Platform.PINTEREST: (1600, 0.025, 200),
}
_HASHTAG = re.compile(r"#(\w+)")


@dataclass(frozen=True)
class Seen:
    """A post as its readers see it. ``at``: aware. ``text``: all parts, joined by a blank line."""

    platform: Platform
    at: datetime
    text: str
    parts: int
    visual: bool


@dataclass(frozen=True)
class Reach:
    """What a post has reached so far, in counts.

    Impressions include the engagements, and these include clicks and new followers.
    """

    impressions: int
    engagements: int
    link_clicks: int
    new_followers: int


@dataclass(frozen=True)
class _Taste:
    """The preferences of one platform's audience, as logarithms. ``hours``: one for each quarter of
    an hour.
    """

    hours: tuple[float, ...]
    days: tuple[float, ...]
    thread: float
    long: float
    visual: float
    many_tags: float


class Audience:
    """People on every platform, with the preferences of ``seed``.

    ``timezone``: where they live. ``strength``: the exponent of every preference; 0 for no preferences.
    ``noise``: the unexplained standard deviation of the logarithm of a post's engagements, without the noise
    of counting.
    """

    def __init__(
        self, seed: int = 1, *, timezone: str = "UTC", strength: float = 1.0, noise: float = 0.35
    ) -> None:
        self._seed = seed
        self._zone = ZoneInfo(timezone)
        self._strength = strength
        self._noise = noise
        self._tastes = {platform: _taste(seed, platform) for platform in Platform}
        self._tags: dict[str, float] = {}

    def expected(self, post: Seen) -> float:
        """A post's final engagements, averaged over the noise."""
        impressions, rate = self._rates(post)
        return impressions * rate

    def reach(self, post: Seen, key: str, age: timedelta) -> Reach:
        """What a post has reached at an age. The same for the same seed, post and key; never falls with age.

        ``key`` is the post's own and seeds the noise. At or below age 0 nothing is reached.
        """
        hours = age / timedelta(hours=1)
        if hours <= 0:
            return Reach(0, 0, 0, 0)
        dice = np.random.Generator(np.random.PCG64(_hash(self._seed, "post", key)))
        impressions, rate = self._rates(post)
        # Log-normal with mean 1, so that ``expected`` is the mean.
        spread = self._noise * _IMPRESSION_NOISE, self._noise * _RATE_NOISE
        shocks = [math.exp(sd * dice.standard_normal() - sd * sd / 2) for sd in spread]
        seen = int(dice.poisson(impressions * shocks[0]))
        engaged = int(dice.binomial(seen, min(_MOST_RATE, rate * shocks[1])))
        clicks = int(dice.binomial(engaged, _CLICKS_WITH_LINK if "://" in post.text else _CLICKS_WITHOUT))
        follows = int(dice.binomial(engaged, _FOLLOWS))
        grown = 1 - math.exp(-hours / GROWTH_HOURS)
        return Reach(*(round(final * grown) for final in (seen, engaged, clicks, follows)))

    def _rates(self, post: Seen) -> tuple[float, float]:
        """Expected impressions, and engagements per impression."""
        impressions, rate, _ = _BASE[post.platform]
        taste = self._tastes[post.platform]
        local = post.at.astimezone(self._zone)
        timing = taste.hours[4 * local.hour + local.minute // 15] + taste.days[local.weekday()]
        content = self._content(post, taste)
        wide = self._strength * (timing + _CONTENT_IN_IMPRESSIONS * content)
        deep = self._strength * (1 - _CONTENT_IN_IMPRESSIONS) * content
        return impressions * math.exp(wide), min(_MOST_RATE, rate * math.exp(deep))

    def _content(self, post: Seen, taste: _Taste) -> float:
        tags = {tag.lower() for tag in _HASHTAG.findall(post.text)}
        middling = _BASE[post.platform][2]
        each = max(1, len(post.text)) / max(1, post.parts)
        liked = taste.thread if post.parts > 1 else -taste.thread
        liked += taste.visual if post.visual else -taste.visual
        liked += taste.long * math.tanh(2 * math.log(each / middling))
        liked += taste.many_tags * math.tanh(len(tags) - _MANY_TAGS)
        if tags:
            # Divided by the root, so that many hashtags neither hide a topic nor outweigh everything else.
            liked += sum(map(self._tag, sorted(tags))) / math.sqrt(len(tags))
        return liked

    def _tag(self, tag: str) -> float:
        if tag not in self._tags:
            even = _hash(self._seed, "tag", tag) / 2**63 - 1
            self._tags[tag] = math.log(_TAG) * even
        return self._tags[tag]


def _taste(seed: int, platform: Platform) -> _Taste:
    dice = random.Random(_hash(seed, "taste", platform))  # noqa: S311  # a simulation, no secret

    def either(most: float) -> float:
        """Half the logarithm of the ratio between two kinds: the better gains it and the other loses it."""
        return dice.choice((-1, 1)) * dice.uniform(_LEAST, 1) * math.log(most) / 2

    best = dice.uniform(7, 21)
    second = (best + dice.uniform(5, 12)) % 24
    bumps = [
        _bump(quarter / 4, best) + _SECOND_PEAK * _bump(quarter / 4, second) for quarter in range(24 * 4)
    ]
    mean, highest = sum(bumps) / len(bumps), max(bumps)
    # (1 + a × highest) / (1 + a × mean) = PEAK
    height = (PEAK - 1) / (highest - PEAK * mean)
    hours = tuple(math.log((1 + height * bump) / (1 + height * mean)) for bump in bumps)
    drawn = [dice.gauss(0, 1) for _ in range(7)]
    top = math.log(dice.uniform(*_DAY_PEAK)) / (max(drawn) - sum(drawn) / 7)
    days = tuple(top * (value - sum(drawn) / 7) for value in drawn)
    return _Taste(hours, days, either(_FORMAT), either(_LENGTH), either(_VISUAL), either(_COUNT))


def _bump(hour: float, middle: float) -> float:
    away = min(abs(hour - middle), 24 - abs(hour - middle))
    return math.exp(-((away / _PEAK_WIDTH) ** 2) / 2)


def _hash(seed: int, kind: str, key: str) -> int:
    """64 bits that are the same in every process."""
    digest = hashlib.blake2b(f"{seed}\0{kind}\0{key}".encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big")
