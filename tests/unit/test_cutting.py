"""Texts of any language are cut where a reader would cut them, and never within a sign."""

from __future__ import annotations

import random
import unicodedata
from itertools import product

import pytest
import regex

from pressroom.domain.markup.cutting import SIGN, cut, shorten, uncut
from pressroom.domain.markup.html import clip
from pressroom.domain.outside import clean_line, clean_text

JAPANESE = "庭木の剪定は冬の終わりに行うのが一番よいとされています" * 10
THAI = "การตัดแต่งกิ่งไม้ในสวนควรทำในช่วงปลายฤดูหนาว" * 10
HINDI = "बगीचे के पेड़ों की छँटाई सर्दियों के अंत में करनी चाहिए " * 10
FAMILY = "👨‍👩‍👧‍👦"
LETTERS = ["e\u0301", "क्षि", FAMILY, "🇯🇵", "字", "a", "กำ", "한", "👍🏽", " ", ". "]


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("【2026年版】 " + JAPANESE, 60, ("【2026年版】 " + JAPANESE)[:60]),
        ("SEO " + JAPANESE, 40, ("SEO " + JAPANESE)[:40]),
        ("one two three", 9, "one two"),
        ("one, two", 6, "one"),
        ("ab" + "e\u0301" * 4, 5, "abe\u0301"),
        (FAMILY * 3, 10, FAMILY),
        (FAMILY, 3, ""),
        ("x" * 50, 9, "x" * 9),
    ],
)
def test_where_a_text_is_cut(text: str, most: int, kept: str) -> None:
    assert cut(text, most) == kept


@pytest.mark.parametrize("text", [JAPANESE, THAI, HINDI, "word " * 60, FAMILY * 40, "e\u0301" * 200])
@pytest.mark.parametrize("most", [20, 80, 159, 160])
def test_most_of_the_room_is_used_in_any_language(text: str, most: int) -> None:
    for kept in (
        cut(text, most),
        clip(text, most),
        clean_line(text, most),
        clean_text(text, most),
        shorten(text, most),
    ):
        assert most / 2 - 1 <= len(kept) <= most


def test_no_cut_is_within_a_sign() -> None:
    dice = random.Random(5)
    for _ in range(500):
        signs = dice.choices(LETTERS, k=dice.randint(1, 40))
        text = "".join(signs)
        kept = cut(text, dice.randint(1, 60))
        assert text.startswith(kept)
        assert regex.findall(r"\X", text)[: len(regex.findall(r"\X", kept))] == regex.findall(r"\X", kept)
        assert unicodedata.normalize("NFC", text).startswith(unicodedata.normalize("NFC", kept))


def test_signs_are_found_in_one_pass() -> None:
    assert SIGN.findall("🇯🇵🇩🇪🇫x") == ["🇯🇵", "🇩🇪", "🇫", "x"]
    # It takes hours where each flag of a row looks back at all before it.
    assert len(clean_text("🇯🇵" * 150_000, 100_000)) == 100_000
    for text in ("".join(signs) for signs in product(LETTERS, repeat=3)):
        assert SIGN.findall(text) == regex.findall(r"\X", text)


def test_a_sentence_ends_as_its_language_ends_it() -> None:
    assert uncut("冬に切ります。春に植えます。そして夏に", 18) == "冬に切ります。春に植えます。"
    assert uncut("पेड़ काटें। फिर पानी दें। और अब", 30) == "पेड़ काटें। फिर पानी दें।"
    assert uncut("هل تعلم؟ نعم. ثم بعد", 20) == "هل تعلم؟ نعم."
    assert uncut("切りますか？はい！そして", 12) == "切りますか？はい！"


@pytest.mark.parametrize(
    ("text", "most", "left"),
    [
        ("A good first sentence. And then it wa", 37, "A good first sentence."),
        ("A good first sentence. And then it was ", 39, "A good first sentence."),  # cut off at the blank
        ("Not cut because shorter", 99, "Not cut because shorter"),
        (" Not cut either ", 99, "Not cut either"),
        ("It ends just at its bound.", 26, "It ends just at its bound."),
        ("It is whole. It ends in the last place!", 39, "It is whole."),  # there was no other place
        ('She said: "Never boil it."', 26, 'She said: "Never boil it."'),
        ("It is longer than it should be, but whole.", 20, "It is longer than it should be, but whole."),
        ("1. Grind the beans as finely as you can and th", 46, ""),
        ("Dr. Brown grinds the beans as finely as you c", 45, ""),
        ("Nothing here is a sentence, and it goes on an", 45, ""),
        ("supercalifragilisticexpialidocious", 34, ""),
        ("", 0, ""),
        ("Brew it cold. " + "x" * 320, 337, "Brew it cold."),  # the next word did not fit
        ("Brew it cold. " + "x" * 300, 337, "Brew it cold. " + "x" * 300),
    ],
)
def test_what_a_bound_cut_off_leaves_whole_sentences_or_nothing(text: str, most: int, left: str) -> None:
    assert uncut(text, most) == left


@pytest.mark.parametrize(
    ("title", "left"),
    [
        ("Burr and Blade Grinders: Which One Is Bett", "Burr and Blade Grinders"),
        ("Burr and Blade Grinders – Which One Is Bet", "Burr and Blade Grinders"),
        ("Burr and Blade Grinders - Which One Is Bet", "Burr and Blade Grinders"),
        ("How Do You Clean a Grinder? The Steps, Exp", "How Do You Clean a Grinder?"),
        ("Off: a Title That Has Its Break Far Too So", ""),
        ("A Step-by-Step Guide to Grinding Your Own ", ""),
        ("コーヒー豆の挽き方と選び方：初心者のための説明とおすすめの", "コーヒー豆の挽き方と選び方"),
    ],
)  # fmt: skip
def test_of_a_title_that_was_cut_off_its_first_part_is_left(title: str, left: str) -> None:
    assert uncut(title, min(len(title), 42), phrases=True) == left


@pytest.mark.parametrize(
    ("title", "left"),
    [
        (
            "How Hot the Water for Green Tea Should Really Be",
            "How Hot the Water for Green Tea Should Really Be",
        ),
        ("Grinders of Any Kind and Size: Which of Them Lasts Longest", "Grinders of Any Kind and Size"),
        ("How hot " * 12, ""),  # more than twice its bound: the model rambles
    ],
)
def test_a_title_beyond_its_bound_is_long_and_not_cut_off(title: str, left: str) -> None:
    assert uncut(title, 42, phrases=True) == left
