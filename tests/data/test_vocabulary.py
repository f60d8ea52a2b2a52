import numpy as np

from laya_jax.data.vocabulary import Vocabulary, split_into_words


def test_words_are_lower_case_without_breaks():
    text = "Great!<br /><br/>It's a 10/10 -- naïve, isn't it? <BR>end_of"
    expected = ["great", "it's", "a", "10", "10", "naïve", "isn't", "it", "end", "of"]
    assert split_into_words(text) == expected
    assert split_into_words("'' -- <br />") == []


def test_the_most_frequent_words_come_first_and_ties_by_alphabet():
    texts = ["b a a", "c b a", "d"]
    assert Vocabulary.of_texts(texts, 100).words == ("a", "b", "c", "d")
    assert Vocabulary.of_texts(texts, 4).words == ("a", "b")


def test_either_end_of_a_long_text_is_kept_and_short_ones_are_padded():
    vocabulary, texts = Vocabulary(("a", "b", "c")), ["a b c x", "c", ""]
    assert np.array_equal(vocabulary.encode(texts, 3, "start"), [[2, 3, 4], [4, 0, 0], [0, 0, 0]])
    assert np.array_equal(vocabulary.encode(texts, 3, "end"), [[3, 4, 1], [4, 0, 0], [0, 0, 0]])


def test_a_text_is_shown_without_padding_and_it_is_written_and_read_back():
    vocabulary = Vocabulary(("a", "b", "c"))
    assert vocabulary.decode(vocabulary.encode(["c x A"], 5, "start")[0]) == "c … a"
    assert Vocabulary.from_text(vocabulary.to_text()) == vocabulary
    assert vocabulary.size == 5
