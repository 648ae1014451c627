"""Words of texts in scripts with blanks between words, and without."""

from __future__ import annotations

import pytest

from pressroom.domain.markup.html import count_words, distinct, says_something, words_of_html
from pressroom.domain.text import normalize

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
        ("हिन्दी में बाड़ की छँटाई", 5),
        ("தமிழில் தோட்டம்", 2),
        ("مُدَرِّسٌ جديد", 2),
        ("می\u200cخواهم", 1),
        ("❤\ufe0f", 0),
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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ข้าว", "ขาว"),  # rice, white
        ("किला", "कला"),  # a fort, art
        ("பல்", "பல"),  # a tooth, many
        ("か", "が"),
        ("résumé", "resume"),
    ],
)
def test_words_that_marks_tell_apart_are_not_the_same(one: str, other: str) -> None:
    assert normalize(one) != normalize(other)
    assert " " not in normalize(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("مُدَرِّس", "مدرس"),
        ("שָׁלוֹם", "שלום"),
        ("I ❤\ufe0f tea!", "i ❤ Tea"),
        ("ｶﾞｰﾃﾞﾝ", "ガーデン"),
        ("क्\u200dष", "क्ष"),
        ("Cafe\u0301", "CAFÉ"),
    ],
)
def test_spellings_of_the_same_words_are_the_same(one: str, other: str) -> None:
    assert normalize(one) == normalize(other)


@pytest.mark.parametrize(
    ("text", "least", "says"),
    [
        ("茶", 2, True),
        ("차", 2, True),
        ("春茶", 3, True),
        ("庭木", 4, True),
        ("สวน", 3, True),
        ("。、", 1, False),
        ("a1!", 2, False),
        ("Ab", 2, True),
    ],
)
def test_a_sign_says_as_much_as_two_letters(text: str, least: int, says: bool) -> None:
    assert says_something(text, least) == says


def test_numbering_goes_in_other_scripts_too() -> None:
    numbered = ["1. Water", "2、選び方", "三、まとめ", "４）保存", "1.5 metres", "一人前の量"]
    assert distinct(numbered, 9, 80) == ["Water", "選び方", "まとめ", "保存", "1.5 metres", "一人前の量"]
