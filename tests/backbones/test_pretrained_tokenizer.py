"""Tokenizers of pretrained models."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_models import WORDS, change_json

from laya_jax.backbones.pretrained import (
    check_embedded,
    read_tokenizer,
)
from laya_jax.data.tokenizer import Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden"


TEXTS = ["A good film", "dull, FINE bads", "naïve 映画 goods", "", "[MASK] bad [SEP] a\u00a0good"]


def only_a_vocabulary(folder, words=WORDS):
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return folder


def test_a_tokenizer_is_made_of_a_vocabulary(bert, folder):
    expected = Tokenizer(read_tokenizer(bert)).encode(TEXTS, 12, "start")
    made = Tokenizer(read_tokenizer(only_a_vocabulary(folder)))
    np.testing.assert_array_equal(made.encode(TEXTS, 12, "start"), expected)
    assert made.size == len(WORDS)
    assert made.unknown == 1


def test_a_real_vocabulary_gives_the_tokens_of_the_real_tokenizer(tmp_path):
    model = Path("~/.cache/laya_models/minilm-l6").expanduser()
    if not (model / "vocab.txt").exists():
        pytest.skip(f"no pretrained model in {model}: put its Hugging Face folder there")
    for name in ("vocab.txt", "config.json"):
        shutil.copy(model / name, tmp_path)
    texts = [
        *TEXTS,
        *np.load(GOLDEN / "minilm_l6.npz")["texts"].tolist(),
        "Ünïcödé ﬁ İ 😀 e\u0301 \u200b don't 3.14",
    ]
    expected, found = (
        Tokenizer(read_tokenizer(path)).encode(texts, 40, "start") for path in (model, tmp_path)
    )
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("settings", "text", "tokens"),
    [
        ({"do_lower_case": True}, "A Good", [7, 4]),
        ({"do_lower_case": False}, "A good", [1, 4]),
        ({"do_lower_case": True}, "gòod", [4]),
        ({"do_lower_case": True, "strip_accents": False}, "gòod", [1]),
        ({"tokenize_chinese_chars": False}, "映画", [1]),
        ({"tokenize_chinese_chars": True}, "映画", [1, 1]),
        ({"unk_token": "dull"}, "what", [9]),
        ({"unk_token": {"content": "dull", "lstrip": False}}, "what", [9]),
    ],
)
def test_settings_of_the_tokenizer_are_honoured(folder, settings, text, tokens):
    change_json(only_a_vocabulary(folder) / "tokenizer_config.json", **settings)
    encoded = Tokenizer(read_tokenizer(folder)).encode([text], 8, "start")
    assert encoded[0].tolist() == [2, *tokens, 3] + [0] * (6 - len(tokens))


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("tokenizer_config.json", {"do_lower_case": "no"}, "do_lower_case of .* is 'no', expected True"),
        (
            "tokenizer_config.json",
            {"do_basic_tokenize": False},
            "do_basic_tokenize of .* is False, expected True",
        ),
        ("tokenizer_config.json", {"never_split": ["a"]}, r"never_split of .* is \['a'\], expected None"),
        (
            "tokenizer_config.json",
            {"tokenizer_class": "BertJapaneseTokenizer"},
            "is 'BertJapaneseTokenizer', expected",
        ),
        (
            "tokenizer_config.json",
            {"pad_token": "<pad>"},
            "pad_token of .* is '<pad>', expected a word of vocab.txt",
        ),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"11": {"content": "new"}}},
            "adds the token 'new'",
        ),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": [1]},
            "added_tokens_decoder of .*, expected an object",
        ),
        ("added_tokens.json", {"new": 11}, "adds the token 'new' to vocab.txt"),
        (
            "special_tokens_map.json",
            {"sep_token": ["x"]},
            r"sep_token of .* is \['x'\], expected a word of vocab.txt",
        ),
    ],
)
def test_a_tokenizer_that_would_be_another_one_is_refused_by_name(folder, file, values, message):
    change_json(only_a_vocabulary(folder) / file, **values)
    with pytest.raises(ValueError, match=message):
        read_tokenizer(folder)


def test_of_a_vocabulary_with_capitals_it_has_to_be_said_whether_texts_keep_theirs(folder):
    only_a_vocabulary(folder, [*WORDS[:10], "Fine"])
    with pytest.raises(
        ValueError, match=r"has words with capitals, but tokenizer_config\.json has no do_lower_case"
    ):
        read_tokenizer(folder)
    change_json(folder / "tokenizer_config.json", do_lower_case=False)
    assert Tokenizer(read_tokenizer(folder)).encode(["Fine fine"], 4, "start").tolist() == [[2, 10, 1, 3]]


def test_a_tokenizer_and_its_settings_have_to_agree(folder):
    change_json(folder / "tokenizer_config.json", do_lower_case=True, strip_accents=None)
    Tokenizer(read_tokenizer(folder))
    change_json(folder / "tokenizer_config.json", do_lower_case=False)
    with pytest.raises(
        ValueError, match=r"do_lower_case of .* is False, but lowercase of tokenizer\.json is True"
    ):
        read_tokenizer(folder)


@pytest.mark.parametrize(
    ("normalizer", "lowers"),
    [(None, True), ({"type": "Sequence", "normalizers": [{"type": "Lowercase"}]}, False)],
)
def test_a_tokenizer_of_another_normalizer_has_to_agree_too(folder, normalizer, lowers):
    change_json(folder / "tokenizer.json", normalizer=normalizer)
    change_json(folder / "tokenizer_config.json", do_lower_case=not lowers)
    read_tokenizer(folder)
    change_json(folder / "tokenizer_config.json", do_lower_case=lowers)
    with pytest.raises(ValueError, match=f"is {lowers}, but lowercase of tokenizer.json is {not lowers}"):
        read_tokenizer(folder)


ADDED = [
    ("tokenizer_config.json", {"added_tokens_decoder": {"11": {"content": "[NEW]", "special": True}}}),
    ("tokenizer_config.json", {"added_tokens_decoder": {"7": {"content": "[SEP]"}}}),
    ("tokenizer_config.json", {"additional_special_tokens": ["[NEW]"]}),
    ("tokenizer_config.json", {"extra_special_tokens": {"new_token": "[NEW]"}}),
    ("special_tokens_map.json", {"additional_special_tokens": [{"content": "[NEW]"}]}),
    ("added_tokens.json", {"[NEW]": 11}),
]


@pytest.mark.parametrize("own", ["tokenizer.json", "vocab.txt"])
@pytest.mark.parametrize(("file", "values"), ADDED)
def test_a_token_added_beside_a_tokenizer_without_it_is_refused(folder, own, file, values):
    if own == "vocab.txt":
        only_a_vocabulary(folder)
    change_json(folder / "tokenizer_config.json", added_tokens_decoder={"3": {"content": "[SEP]"}})
    read_tokenizer(folder)
    change_json(folder / file, **values)
    with pytest.raises(ValueError, match=rf"adds the token '\[(NEW|SEP)\]' to {own}, which needs"):
        read_tokenizer(folder)


def test_a_tokenizer_that_splits_special_tokens_is_refused(folder):
    change_json(folder / "tokenizer_config.json", split_special_tokens=True)
    for make in (lambda folder: folder, only_a_vocabulary):
        with pytest.raises(ValueError, match=r"split_special_tokens of .* is [Tt]rue, expected [Ff]alse"):
            read_tokenizer(make(folder))


def test_a_model_without_a_tokenizer_says_so(vit):
    with pytest.raises(FileNotFoundError, match=r"it has no tokenizer\.json and no vocab\.txt"):
        read_tokenizer(vit)
    with pytest.raises(ValueError, match=r"is not a readable tokenizer\.json"):
        Tokenizer("{}")


def test_more_tokens_than_embeddings_are_refused(folder):
    check_embedded(folder, 11)
    with pytest.raises(ValueError, match=r"has 12 tokens, expected at most vocab_size of .*, 11"):
        check_embedded(folder, 12)
