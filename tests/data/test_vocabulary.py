import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from laya_jax.data.vocabulary import Vocabulary


def test_the_most_frequent_words_come_first_and_ties_by_alphabet():
    texts = ["b a a", "c b a", "d"]
    assert Vocabulary.of_texts(texts, 100).words == ("a", "b", "c", "d")
    assert Vocabulary.of_texts(texts, 4).words == ("a", "b")


def test_either_end_of_a_long_text_is_kept_and_short_ones_are_padded():
    vocabulary, texts = Vocabulary(("a", "b", "c")), ["a b c x", "c", ""]
    assert np.array_equal(vocabulary.encode(texts, 3, "start"), [[2, 3, 4], [4, 0, 0], [0, 0, 0]])
    assert np.array_equal(vocabulary.encode(texts, 3, "end"), [[3, 4, 1], [4, 0, 0], [0, 0, 0]])


def test_texts_that_are_cut_mostly_unknown_or_empty_are_counted():
    texts = ["a b a b", "a b a", "a x y b", "a x", "x", "", "…"]
    read = Vocabulary(("a", "b")).read(texts, 3, "start")
    assert (read.cut, read.unknown, read.empty) == (2, 2, 2)


def test_a_text_is_shown_without_padding():
    vocabulary = Vocabulary(("a", "b", "c"))
    assert vocabulary.decode(vocabulary.encode(["c x A"], 5, "start")[0]) == "c … a"
    assert vocabulary.size == 5


@given(st.lists(st.text()), st.sampled_from(["unicode", "letters"]))
def test_a_vocabulary_is_written_and_read_back(texts, segmentation):
    vocabulary = Vocabulary.of_texts(texts, 100, segmentation)
    assert Vocabulary.from_text(vocabulary.to_text()) == vocabulary
    assert vocabulary.to_text().encode().decode() == vocabulary.to_text()


def test_vocabularies_of_earlier_versions_split_texts_as_they_did():
    earlier = Vocabulary.from_text("don\nt\nक\n")
    assert earlier == Vocabulary(("don", "t", "क"), "letters")
    assert earlier.encode(["don\u2019t काला"], 4, "start").tolist() == [[2, 3, 4, 1]]
    assert earlier.to_text() == "don\nt\nक\n"
    assert Vocabulary.from_text("") == Vocabulary((), "letters")
    with pytest.raises(
        ValueError, match=r"vocabulary.txt has word segmentation 'syllables', expected 'unicode'"
    ):
        Vocabulary.from_text("# words by syllables\na\n")
