"""Inputs of a pretrained model: normalisation, tokens, and the pooling of sentence-transformers."""

import json
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from small_models import WORDS, change_json, write_bert, write_vit

from laya_jax.backbones import load_pretrained
from laya_jax.backbones.pretrained import (
    check_embedded,
    image_notes,
    read_normalization,
    read_tokenizer,
    text_notes,
)
from laya_jax.data.tokenizer import Tokenizer

GOLDEN = Path(__file__).parents[1] / "golden"
VIT = {
    **{"do_convert_rgb": None, "do_normalize": True, "do_rescale": True, "do_resize": True},
    **{"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 4], "image_processor_type": "ViTImageProcessor"},
    **{"resample": 2, "rescale_factor": 1 / 255, "size": {"height": 224, "width": 224}},
}
"""As transformers writes it."""


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return write_vit(tmp_path_factory.mktemp("models") / "vit")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return write_bert(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def folder(bert, tmp_path):
    """A BERT of one's own."""
    return Path(shutil.copytree(bert, tmp_path / "bert"))


@pytest.fixture
def prepared(vit):
    """Gives the ViT this content of a preprocessor_config.json."""
    file = vit / "preprocessor_config.json"

    def prepare(without=(), **changes):
        values = {**VIT, **changes}
        file.write_text(json.dumps({key: value for key, value in values.items() if key not in without}))
        return vit

    yield prepare
    file.unlink(missing_ok=True)


# --- Images


def test_without_a_file_a_model_has_the_normalisation_of_its_family(vit, tmp_path):
    assert read_normalization(vit) == ((0.5,) * 3, (0.5,) * 3)
    dinov2 = write_vit(tmp_path / "dinov2", "dinov2")
    assert read_normalization(dinov2) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("changes", "mean", "deviation"),
    [
        ({}, (0.1, 0.2, 0.3), (1.0, 2.0, 4.0)),
        ({"do_normalize": False}, (0.0,) * 3, (1.0,) * 3),
        ({"rescale_factor": 1 / 127.5}, (0.05, 0.1, 0.15), (0.5, 1.0, 2.0)),
        ({"rescale_factor": 1 / 127.5, "do_normalize": False}, (0.0,) * 3, (0.5,) * 3),
        # Values from 0 to 255 stay as they are.
        ({"do_rescale": False, "do_normalize": False}, (0.0,) * 3, (1 / 255,) * 3),
        (
            {"do_rescale": False, "rescale_factor": 2},
            (0.1 / 255, 0.2 / 255, 0.3 / 255),
            (1 / 255, 2 / 255, 4 / 255),
        ),
    ],
)
def test_images_are_normalised_as_the_model_expects_it(prepared, changes, mean, deviation):
    found = read_normalization(prepared(**changes))
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.deviation, deviation, rtol=1e-12)


def test_ordinary_files_give_their_very_numbers(prepared):
    """So that hidden states that are cached under them stay valid."""
    assert read_normalization(prepared()) == ((0.1, 0.2, 0.3), (1.0, 2.0, 4.0))
    least = prepared(without=VIT.keys() - {"image_mean", "image_std"})
    assert read_normalization(least) == ((0.1, 0.2, 0.3), (1.0, 2.0, 4.0))


def test_a_file_of_several_processors_comes_first_as_in_transformers_5(prepared, vit):
    prepared()
    file = vit / "processor_config.json"
    file.write_text(json.dumps({"image_processor": {**VIT, "do_normalize": False}, "processor_class": "X"}))
    assert read_normalization(vit).mean == (0.0,) * 3
    file.write_text(json.dumps({"image_processor": [VIT]}))
    with pytest.raises(ValueError, match=r"image_processor of .* is .*, expected an object"):
        read_normalization(vit)
    file.write_text(json.dumps({"processor_class": "X"}))
    assert read_normalization(vit).mean == (0.1, 0.2, 0.3)
    file.unlink()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_mean": [0.5]}, r"image_mean of .* is \[0.5\], expected three numbers"),
        ({"image_mean": [0.5, 0.5, "0.5"]}, "image_mean of .*, expected three numbers"),
        ({"image_mean": [0.5, 0.5, float("nan")]}, "image_mean of .*, expected three numbers"),
        ({"image_mean": [0.5, 0.5, 10**400]}, "image_mean of .*, expected three numbers"),
        ({"image_mean": None}, "image_mean of .* is None, expected three numbers"),
        ({"image_std": [0.5, 0.5, 0]}, r"image_std of .* is \[0.5, 0.5, 0\], expected three numbers above 0"),
        ({"image_std": 0.5}, "image_std of .* is 0.5, expected three numbers"),
        ({"do_normalize": "false"}, "do_normalize of .* is 'false', expected true or false"),
        ({"do_rescale": None}, "do_rescale of .* is None, expected true or false"),
        ({"rescale_factor": 0}, "rescale_factor of .* is 0, expected a number above 0"),
        ({"rescale_factor": "1/255"}, "rescale_factor of .* is '1/255', expected a number above 0"),
        (
            {"image_processor_type": "ConvNextImageProcessor"},
            "image_processor_type of .* is 'ConvNext.*, expected",
        ),
        ({"image_processor_type": None, "feature_extractor_type": "x"}, "image_processor_type of .* is None"),
        (
            {"do_flip_channel_order": True},
            "has the key 'do_flip_channel_order', which is unknown and may change the images",
        ),
        ({"do_pad": True}, "has the key 'do_pad', which is unknown and may change the images"),
        ({"crop_pct": 0.9}, "has the key 'crop_pct', which is unknown and may change the images"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(prepared, changes, message):
    with pytest.raises(ValueError, match=message) as error:
        read_normalization(prepared(**changes))
    assert "\n" not in str(error.value)


CROP = {"do_center_crop": True, "crop_size": {"height": 224, "width": 224}, "resample": 3}


@pytest.mark.parametrize(
    ("changes", "size", "theirs"),
    [
        ({}, 224, "they are resized to 224 x 224 pixels (bilinear)"),
        ({"size": 384, "resample": 3}, 224, "they are resized to 384 x 384 pixels (bicubic)"),
        (
            {"size": {"shortest_edge": 256}, **CROP},
            224,
            "the shorter side is resized to 256 pixels (bicubic), the central 224 x 224 pixels are cropped",
        ),
        ({"size": {"shortest_edge": 224}, **CROP}, 224, None),
        ({"size": 224, **CROP, "crop_size": 224, "image_processor_type": "BitImageProcessor"}, 224, None),
        ({"do_resize": False}, None, None),
        ({"do_resize": False}, 224, "they are taken as they are"),
        ({"size": None}, 224, None),
    ],
)
def test_images_that_are_fitted_otherwise_are_told(prepared, changes, size, theirs):
    notes = image_notes(prepared(**changes), size)
    assert len(notes) == (theirs is not None)
    if theirs is not None:
        ours = "the shorter side is resized to 224 pixels (bicubic), the central 224 x 224 pixels are cropped"
        assert notes[0].endswith(f"preprocessor_config.json: there, {theirs}; here, {ours}")


def test_a_model_that_does_not_say_how_images_are_fitted_has_nothing_told_of_it(vit):
    assert image_notes(vit, 224) == ()
    assert image_notes("vit.npz", 224) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": {"longest_edge": 2}}, "size of .* is {'longest_edge': 2}, expected a height and a width"),
        ({"size": [224, 224, 3]}, "size of .*, expected a height and a width"),
        ({"size": {"shortest_edge": "224"}}, "size of .*, expected a number of pixels"),
        ({"crop_size": -1}, "crop_size of .* is -1, expected a height and a width"),
        ({"resample": 7}, "resample of .* is 7, expected one of 0, 1, 2, 3, 4, 5"),
        ({"resample": [3]}, "resample of .*, expected one of 0, 1, 2, 3, 4, 5"),
        ({"do_resize": "yes"}, "do_resize of .* is 'yes', expected true or false"),
    ],
)
def test_sizes_that_make_no_sense_are_refused_by_name(prepared, changes, message):
    with pytest.raises(ValueError, match=message):
        image_notes(prepared(**changes), 224)


# --- Tokens

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


# --- sentence-transformers

KIND = "sentence_transformers.models."
TRANSFORMER = {"idx": 0, "name": "0", "path": "", "type": f"{KIND}Transformer"}
POOLING = {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{KIND}Pooling"}


def sentence(folder, pooling, modules=(TRANSFORMER, POOLING)):
    """Makes a model of sentence-transformers of a BERT."""
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def flags(*chosen):
    names = (
        "cls_token",
        "mean_tokens",
        "max_tokens",
        "mean_sqrt_len_tokens",
        "weightedmean_tokens",
        "lasttoken",
    )
    return {"word_embedding_dimension": 8, **{f"pooling_mode_{name}": name in chosen for name in names}}


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        (flags("mean_tokens"), "mean"),
        (flags("cls_token"), "cls"),
        (flags("max_tokens"), "max"),
        (flags("lasttoken"), "last"),
        (flags("mean_tokens", "cls_token"), "cls+mean"),
        (flags("mean_tokens", "max_tokens"), "max+mean"),
        (flags(), "mean"),
        ({"embedding_dimension": 8, "pooling_mode": "cls"}, "cls"),
        ({"embedding_dimension": 8, "pooling_mode": ["mean", "cls"]}, "mean+cls"),
    ],
)
def test_the_pooling_of_sentence_transformers_is_the_default(folder, pooling, expected):
    sentence(folder, pooling)
    assert load_pretrained(folder).backbone.pooling == expected
    assert load_pretrained(folder, pooling="cls").backbone.pooling == "cls"
    assert load_pretrained(folder, pooling=None).backbone.pooling is None


def test_hidden_states_are_pooled_as_sentence_transformers_does_it(tmp_path):
    folder = sentence(
        Path(shutil.copytree(GOLDEN / "small_bert", tmp_path / "m")), flags("cls_token", "max_tokens")
    )
    golden = np.load(folder / "golden.npz")
    mask, states = golden["attention_mask"].astype(bool), golden["hidden_states"][-1]
    backbone, parameters = load_pretrained(folder)
    found = backbone.apply({"params": parameters}, jnp.asarray(golden["input_ids"], jnp.int32))[-1]
    largest = np.where(mask[..., None], states, -np.inf).max(axis=1)
    np.testing.assert_allclose(found, np.concatenate([states[:, 0], largest], axis=1), atol=2e-5)


@pytest.mark.parametrize(
    ("pooling", "message"),
    [
        (
            flags("weightedmean_tokens"),
            r"pooling_mode of .* is \['weightedmean_tokens'\], expected some of cls, mean",
        ),
        (
            flags("mean_tokens", "mean_sqrt_len_tokens"),
            "pooling_mode of .*mean_sqrt_len_tokens.*, expected some of",
        ),
        ({"pooling_mode_new": True}, r"pooling_mode of .* is \['new'\], expected some of"),
        ({"pooling_mode": "attention"}, r"pooling_mode of .* is \['attention'\], expected some of"),
        ({"pooling_mode_cls_token": "yes"}, "pooling_mode_cls_token of .* is 'yes', expected true or false"),
    ],
)
def test_another_pooling_is_refused_by_name_unless_one_is_asked_for(folder, pooling, message):
    sentence(folder, pooling)
    with pytest.raises(ValueError, match=message):
        load_pretrained(folder)
    assert load_pretrained(folder, pooling="mean").backbone.pooling == "mean"


def test_weights_and_tokenizer_may_be_in_the_folder_of_the_transformer(folder, bert):
    inner = folder / "0_Transformer"
    inner.mkdir()
    for file in [file for file in folder.iterdir() if file.is_file()]:
        file.rename(inner / file.name)
    sentence(folder, flags("cls_token"), [{**TRANSFORMER, "path": "0_Transformer"}, POOLING])
    backbone, parameters = load_pretrained(folder)
    assert backbone.pooling == "cls"
    np.testing.assert_array_equal(parameters["positions"], load_pretrained(bert).parameters["positions"])
    assert read_tokenizer(folder) == read_tokenizer(bert)
    check_embedded(folder, 11)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (
            [{**TRANSFORMER, "path": ".."}],
            r"modules\.json has .*, expected modules with a type and the path of a folder",
        ),
        ([{**TRANSFORMER, "path": "/etc"}], "expected modules with a type and the path of a folder"),
        ([{**TRANSFORMER, "path": "a/../../b"}], "expected modules with a type and the path of a folder"),
        ([{**TRANSFORMER, "type": None}], "expected modules with a type and the path of a folder"),
        ([POOLING, TRANSFORMER], r"modules\.json starts with Pooling, expected Transformer"),
        ([{**TRANSFORMER, "type": f"{KIND}BoW"}], r"modules\.json starts with BoW, expected Transformer"),
        (
            [TRANSFORMER, {**POOLING, "type": "mine.NewPooling"}],
            "has NewPooling after its Transformer, expected Pool",
        ),
        (
            [TRANSFORMER, {**POOLING, "type": f"{KIND}Dense"}, POOLING],
            "has Dense, Pooling after its Transformer, expe",
        ),
        (
            [TRANSFORMER, POOLING, {**POOLING, "type": f"{KIND}CNN"}],
            "has Pooling, CNN after its Transformer, expected",
        ),
        ({"a": 1}, r"modules\.json has .*, expected modules"),
        ([3], r"modules\.json has 3, expected modules"),
    ],
)
def test_modules_that_are_none_or_lead_out_of_the_folder_are_refused(folder, modules, message):
    sentence(folder, flags(), modules)
    with pytest.raises(ValueError, match=message):
        load_pretrained(folder)


def test_what_is_left_of_sentence_transformers_is_told(folder):
    assert text_notes(folder, 6) == ()
    modules = [
        {"path": f"{i}_{kind}", "type": KIND + kind} for i, kind in enumerate(("Dense", "Normalize"), 2)
    ]
    sentence(folder, flags(), [TRANSFORMER, POOLING, *modules])
    change_json(folder / "sentence_bert_config.json", max_seq_length=4, do_lower_case=False)
    change_json(
        folder / "config_sentence_transformers.json", default_prompt_name="query", prompts={"query": "q: "}
    )
    longest, after, prompt = text_notes(folder, 6)
    assert (
        "sentence_bert_config.json: the model was trained on texts of up to 4 tokens, here they have up to 6"
        in longest
    )
    assert "modules.json: Dense, Normalize of the last hidden state is not applied" in after
    assert "config_sentence_transformers.json: the prompt 'query' is not prepended to texts" in prompt
    assert len(text_notes(folder, 4)) == 2


def test_texts_that_sentence_transformers_would_bring_to_lower_case_are_not_read_otherwise(folder):
    sentence(folder, flags())
    change_json(folder / "sentence_bert_config.json", do_lower_case=True)
    read_tokenizer(folder)  # which does so itself
    content = json.loads((folder / "tokenizer.json").read_text())
    content["normalizer"]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(
        ValueError, match=r"do_lower_case of .* is true, expected false: the tokenizer keeps capitals"
    ):
        read_tokenizer(folder)
