"""Models in the layout of sentence-transformers."""

import json
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from small_models import change_json

from laya_jax.backbones import load_pretrained
from laya_jax.backbones.pretrained import (
    check_embedded,
    read_tokenizer,
    text_notes,
)

GOLDEN = Path(__file__).parents[1] / "golden"


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


@pytest.mark.slow
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
