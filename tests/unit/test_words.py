"""Words of texts in scripts with blanks between words, and without."""

from __future__ import annotations

import pytest

from pressroom.domain.markup.html import count_words, words_of_html

JAPANESE = "庭の生け垣は六月に刈り込むのがよいとされている。"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("Hedges are cut in June.", 5),
        ("It's a well-known rule: 2.5 metres.", 6),
        ("나무를 유월에 자른다", 3),
        ("Живую изгородь стригут в июне", 5),
        ("花园里的树篱六月修剪", 10),
        (JAPANESE, 23),
        (JAPANESE * 18, 414),
        ("トリマーで刈る", 7),
        ("用 Python 写 3 篇文章", 7),
        ("第2章", 3),
    ],
)
def test_words_are_counted_as_readers_of_the_language_do(text: str, words: int) -> None:
    assert count_words(text) == words
    assert words_of_html(f"<p>{text}</p>") == words


def test_words_of_scripts_without_blanks_are_estimated() -> None:
    thai = "ควรตัดแต่งรั้วต้นไม้ในเดือนมิถุนายนเพื่อให้แตกกิ่งใหม่"  # twelve or thirteen words
    assert 9 <= count_words(thai) <= 16
    assert count_words(f"{thai} {thai}") == 2 * count_words(thai)
    assert count_words("สวน hedge") == 2
