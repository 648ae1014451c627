"""Title cards drawn on this machine: no account, no network, the same picture for the same request."""

from __future__ import annotations

import asyncio
import colorsys
import functools
import hashlib
import io
import random
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import cast

from PIL import Image, ImageDraw, ImageFont

from pressroom.domain.model import ImageRequest, ImageResult, RateLimits

Rgb = tuple[int, int, int]
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont | ImageFont.TransposedFont

_WHITE: Rgb = (255, 255, 255)
_PALETTE = ("#1f3a5f", "#3d7ea6", "#f2a65a")
# White text on anything darker has a contrast of at least 4.5 to 1, the common threshold of legibility.
_DARK_ENOUGH = 0.18
_SMOOTH_PIXELS = 2_000_000
_MAX_LINES = 4
# No line holds more letters, so no more are measured.
_LONGEST_WORD = 120


class CardImages:
    """An ImageProvider that draws with Pillow, in a thread, because drawing is CPU work."""

    connection = ""
    model = "card"
    limits = RateLimits()
    priced = True

    def estimate(self, request: ImageRequest) -> Decimal:
        """Cards cost nothing."""
        return Decimal(0)

    async def check(self) -> str:
        """Nothing can be missing: cards are drawn on this machine."""
        return ""

    async def draw(self, request: ImageRequest) -> ImageResult:
        """A PNG of exactly the requested size."""
        data = await asyncio.to_thread(card, request)
        return ImageResult(data, "image/png", request.width, request.height, self.model)


def card(request: ImageRequest) -> bytes:
    """The picture as PNG: a gradient in the brand's colours, shapes by the title, the title on top."""
    colors = [_rgb(color) for color in request.colors] or [_rgb(color) for color in _PALETTE]
    # Pictures of one article have the same title and different prompts.
    facts = "\x00".join((request.title, request.label, request.prompt))
    seed = hashlib.sha256(facts.encode("utf-8", "replace")).digest()
    dice = random.Random(seed)  # noqa: S311  for looks
    size = (request.width, request.height)
    second = colors[1] if len(colors) > 1 else _turned(colors[0])
    image = _gradient(size, colors[0], second, dice)
    image = _shapes(image, [_lighter(color) for color in colors], dice)
    accent = _lighter(colors[-1])
    _scrim(image)
    _write(image, _drawable(request.title), _drawable(request.label).upper(), accent)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _gradient(size: tuple[int, int], first: Rgb, second: Rgb, dice: random.Random) -> Image.Image:
    corners = dice.choice([(0, 128, 128, 255), (128, 0, 255, 128), (0, 64, 192, 255)])
    mask = Image.new("L", (2, 2))
    mask.putdata(corners)
    mask = mask.resize(size, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("RGB", size, _dark(second)), Image.new("RGB", size, _dark(first)), mask)


def _shapes(image: Image.Image, colors: Sequence[Rgb], dice: random.Random) -> Image.Image:
    """Draw large soft discs, rings and a band, mostly in the upper right, away from the text."""
    width, height = image.size
    # Small pictures are drawn at twice the size and reduced, which smooths the edges.
    scale = 2 if width * height <= _SMOOTH_PIXELS else 1
    layer = Image.new("RGBA", (width * scale, height * scale))
    short = min(layer.size)
    for number in range(dice.randint(4, 6)):
        draw = ImageDraw.Draw(layer, "RGBA")
        radius = int(short * dice.uniform(0.12, 0.48))
        x = int(layer.width * dice.uniform(0.35, 1.05))
        y = int(layer.height * dice.uniform(-0.1, 0.65))
        box = (x - radius, y - radius, x + radius, y + radius)
        paint = (*colors[number % len(colors)], dice.randint(36, 80))
        if dice.random() < 0.4:
            draw.ellipse(box, outline=paint, width=max(short // 60, 2))
        else:
            draw.ellipse(box, fill=paint)
    draw = ImageDraw.Draw(layer, "RGBA")
    left, slope = layer.width * dice.uniform(0.5, 0.8), layer.width * 0.35
    band = layer.width * dice.uniform(0.05, 0.12)
    corners = [(left + slope, 0), (left + slope + band, 0), (left + band, layer.height), (left, layer.height)]
    draw.polygon(corners, fill=(*colors[-1], 40))
    if scale > 1:
        layer = layer.reduce(scale)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def _scrim(image: Image.Image) -> None:
    """Darken the picture towards the bottom, under the text."""
    levels = [int(min(level * level / 190, 190)) for level in range(256)]
    ramp = Image.linear_gradient("L").resize(image.size, Image.Resampling.BICUBIC).point(levels)
    image.paste(Image.new("RGB", image.size, (8, 10, 16)), mask=ramp)


def _write(image: Image.Image, title: str, label: str, accent: Rgb) -> None:
    draw = ImageDraw.Draw(image)
    width, height = image.size
    margin = round(min(width, height) * 0.08)
    font, lines = _fit(draw, title, width - 2 * margin, round(height * 0.6), min(width, height))
    step = round(font.size * 1.18)
    y = height - margin - step * len(lines)
    small = _font(max(round(min(width, height) * 0.035), 11))
    if label:
        label = _shortened(draw, label, small, width - 2 * margin)
        draw.text((margin, y - round(small.size * 2.2)), label, font=small, fill=accent)
    bar = max(round(height * 0.008), 2)
    draw.rectangle((margin, y - bar * 2, margin + round(width * 0.09), y - bar), fill=accent)
    for line in lines:
        draw.text((margin, y), line, font=font, fill=_WHITE)
        y += step


def _fit(
    draw: ImageDraw.ImageDraw, text: str, width: int, height: int, short: int
) -> tuple[ImageFont.FreeTypeFont, list[str]]:
    """The largest font in which the text fits, with its lines. At the smallest size the end is cut."""
    size = max(round(short * 0.115), 16)
    smallest = max(round(short * 0.06), 12)
    while True:
        font = _font(size)
        lines = _wrapped(draw, text, font, width)
        room = min(_MAX_LINES, int(height // (size * 1.18)))
        if len(lines) <= room:
            return font, lines
        if size <= smallest:
            kept = lines[: max(room, 1)]
            kept[-1] = _shortened(draw, kept[-1] + " …", font, width)
            return font, kept
        size = max(round(size * 0.9), smallest)


def _wrapped(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in text.split():
        joined = f"{line} {word}".strip()
        if draw.textlength(joined, font=font) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while draw.textlength(word[:_LONGEST_WORD], font=font) > width:  # a word wider than the card
            cut = 1
            while draw.textlength(word[: cut + 1], font=font) <= width:
                cut += 1
            lines.append(word[:cut])
            word = word[cut:]
            if len(lines) > 2 * _MAX_LINES:  # the rest will be left out anyway
                return lines
        line = word
    return [*lines, line] if line else lines


def _shortened(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> str:
    while len(text) > 2 and draw.textlength(text, font=font) > width:
        text = text.removesuffix("…").rstrip()[:-1].rstrip() + "…"
    return text


@functools.lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    # Pillow's own font. It needs FreeType, which every wheel has.
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


def _drawable(text: str) -> str:
    """The text in letters of the font. Others become their base letter or are left out, not empty boxes."""
    kept = []
    for letter in unicodedata.normalize("NFC", text[:400]):
        if letter.isspace() or _has(letter):
            kept.append(" " if letter.isspace() else letter)
        else:
            plain = unicodedata.normalize("NFKD", letter)
            kept.extend(part for part in plain if part.isascii() and part.isprintable())
    return " ".join("".join(kept).split())


@functools.lru_cache(maxsize=4096)
def _has(letter: str) -> bool:
    if letter.isascii():
        return letter.isprintable()
    if unicodedata.category(letter)[0] in "CM":
        return False
    font = _font(24)
    return bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))


def _rgb(color: str) -> Rgb:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def _luminance(color: Rgb) -> float:
    parts = [part / 255 for part in color]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _dark(color: Rgb) -> Rgb:
    while _luminance(color) > _DARK_ENOUGH:
        color = (int(color[0] * 0.92), int(color[1] * 0.92), int(color[2] * 0.92))
    return color


def _lighter(color: Rgb) -> Rgb:
    """A colour that is bright enough for the dark background."""
    while _luminance(color) < 0.35:
        color = (color[0] + (255 - color[0]) // 6 + 1, color[1] + (255 - color[1]) // 6 + 1,
                 color[2] + (255 - color[2]) // 6 + 1)  # fmt: skip
    return min(color[0], 255), min(color[1], 255), min(color[2], 255)


def _turned(color: Rgb) -> Rgb:
    """A neighbour on the colour wheel, for a brand with one colour."""
    hue, light, saturation = colorsys.rgb_to_hls(*(part / 255 for part in color))
    red, green, blue = colorsys.hls_to_rgb((hue + 0.09) % 1, light, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)
