import pytest
from small_models import write_bert

from laya_jax.data.tokenizer import Tokenizer


@pytest.fixture
def tokenizer(tmp_path):
    return Tokenizer((write_bert(tmp_path) / "tokenizer.json").read_text())


def test_texts_that_are_cut_mostly_unknown_or_empty_are_counted(tokenizer):
    texts = ["a good film a", "a good film", "strange words", "a strange", "", "strange words a a a a"]
    read = tokenizer.read(texts, 5, "start")
    assert (read.cut, read.unknown, read.empty) == (2, 2, 1)
    assert tokenizer.read(texts, 5, "end").cut == 2


def test_special_tokens_in_a_text_are_tokens_but_padding_is_not(tokenizer):
    start, end, unknown = (tokenizer.encode([name], 3, "start")[0, 1] for name in ("[CLS]", "[SEP]", "[PAD]"))
    assert (start, end, unknown) == (2, 3, tokenizer.unknown)
    assert tokenizer.encode(["a [PAD] a"], 5, "start").all()
