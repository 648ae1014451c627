"""The web address of a stored picture: what a network is given to fetch."""

from __future__ import annotations

from pathlib import Path

import pytest

from pressroom.adapters.storage.media import MediaFiles, public_url
from pressroom.domain.errors import ConfigurationError


def test_what_is_on_the_web_keeps_its_address() -> None:
    assert public_url("https://cdn.example/1.png", "s3://bucket/media", "") == "https://cdn.example/1.png"


@pytest.mark.parametrize("root", ["s3://bucket/media", "s3://bucket/media/"])
@pytest.mark.parametrize("base", ["https://media.example", "https://media.example/"])
def test_what_is_below_the_root_is_found_below_the_base(root: str, base: str) -> None:
    assert public_url("s3://bucket/media/ab/1.png", root, base) == "https://media.example/ab/1.png"


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("s3://bucket/media/1.png", ""),
        ("s3://bucket/media-of-others/1.png", "https://media.example"),
        ("s3://elsewhere/1.png", "https://media.example"),
    ],
)
def test_what_nobody_serves_is_a_matter_of_set_up(url: str, base: str) -> None:
    with pytest.raises(ConfigurationError, match="pressroom_media_public_url"):
        public_url(url, "s3://bucket/media", base)


def test_a_stored_file_has_the_same_name_on_the_web(tmp_path: Path) -> None:
    root = tmp_path / "with a blank"
    media = MediaFiles(root, "https://media.example")
    url = media.put(b"picture", "image/png")
    name = next(path for path in root.rglob("*.png")).relative_to(root)
    assert media.public_url(url) == f"https://media.example/{name}"
    with pytest.raises(ConfigurationError):
        MediaFiles(root).public_url(url)
