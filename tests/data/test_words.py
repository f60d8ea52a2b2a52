import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_jax.data.words import split_into_words


def test_words_are_lower_case_without_breaks():
    text = "Great!<br /><br/>It's a 10/10 -- naïve, isn't it? <BR>end_of"
    expected = ["great", "it's", "a", "10", "10", "naïve", "isn't", "it", "end", "of"]
    for segmentation in ("unicode", "letters"):
        assert split_into_words(text, segmentation) == expected
        assert split_into_words("'' -- <br />", segmentation) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("काला किला", ["काला", "किला"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("e\u0301te\u0301 ÉTÉ", ["été", "été"]),
        ("don\u2019t DON'T don\u02bct don\u00b4t", ["don't"] * 4),
        ("3.14 1,000 0.5%", ["3.14", "1,000", "0.5"]),
        ("movie.I loved it:really", ["movie", "i", "loved", "it", "really"]),
        ("U.S. _bold_", ["u", "s", "bold"]),
        ("你好，世界", ["你", "好", "世", "界"]),
        ("日本語のテキスト", ["日", "本", "語", "の", "テキスト"]),
        ("안녕하세요 세계", ["안녕하세요", "세계"]),
        ("สวย", ["ส", "ว", "ย"]),
        ("שלום עולם", ["שלום", "עולם"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("soft\u00adware \ufeffword\u200f", ["software", "word"]),
        ("ﬁne ＡＢＣ ﾃｷｽﾄ", ["fine", "abc", "テキスト"]),
        ("bad😡good👍🏽 ❤️ ❤", ["bad", "😡", "good", "👍🏽", "❤", "❤"]),
        ("\u0130stanbul I\u0307stanbul", ["i\u0307stanbul"] * 2),
    ],
)
def test_words_of_any_script_are_whole(text, words):
    assert split_into_words(text) == words


def test_earlier_vocabularies_split_texts_as_before():
    assert split_into_words("काला don\u2019t e\u0301t U.S. 3.14", "letters") == [
        *("क", "ल", "don", "t", "e", "t", "u", "s", "3", "14")
    ]


@given(st.text())
def test_a_word_has_no_blank_and_does_not_depend_on_how_accents_are_composed(text):
    words = split_into_words(text)
    assert not any(character.isspace() for word in words for character in word)
    for form in ("NFC", "NFD"):
        assert split_into_words(unicodedata.normalize(form, text)) == words
