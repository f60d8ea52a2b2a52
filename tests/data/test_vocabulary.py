import numpy as np

from laya_jax.data.vocabulary import build_vocabulary, encode, words


def test_words_are_lower_case_without_breaks():
    text = "Great!<br /><br/>It's a 10/10 -- naïve, isn't it? <BR>end_of"
    assert words(text) == ["great", "it's", "a", "10", "10", "naïve", "isn't", "it", "end", "of"]
    assert words("'' -- <br />") == []


def test_the_most_frequent_words_come_first_and_ties_by_alphabet():
    texts = [["b", "a", "a"], ["c", "b", "a"], ["d"]]
    assert build_vocabulary(texts, 100) == ("a", "b", "c", "d")
    assert build_vocabulary(texts, 4) == ("a", "b")


def test_either_end_of_a_long_text_is_kept_and_short_ones_are_padded():
    vocabulary = ("a", "b", "c")
    texts = [["a", "b", "c", "x"], ["c"], []]
    assert np.array_equal(encode(texts, vocabulary, 3, "start"), [[2, 3, 4], [4, 0, 0], [0, 0, 0]])
    assert np.array_equal(encode(texts, vocabulary, 3, "end"), [[3, 4, 1], [4, 0, 0], [0, 0, 0]])
