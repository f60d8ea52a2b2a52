import json
import subprocess
import sys

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from laya_jax.data import load
from laya_jax.training import export_model, import_model, load_model


@pytest.fixture
def exported(finished_run, tmp_path):
    export_model(load_model(finished_run), tmp_path / "model")
    return tmp_path / "model"


def test_an_exported_model_is_the_run_to_the_bit(exported, finished_run):
    model, original = import_model(exported), load_model(finished_run)
    assert model.config == original.config
    assert model.schema == original.schema
    jax.tree.map(np.testing.assert_array_equal, model.parameters, original.parameters)
    assert load_model(exported).schema == model.schema


def test_it_predicts_where_there_is_no_orbax(exported, finished_run):
    code = f"""
import sys
sys.modules["orbax"] = sys.modules["orbax.checkpoint"] = None
import numpy as np
from laya_jax.training import import_model
model = import_model({str(exported)!r})
inputs = model.schema.preprocessing(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1) % 17)
output = model.classifier.apply({{"params": model.parameters}}, inputs)
print(output.logits.tolist())
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    model = load_model(finished_run)
    inputs = model.schema.preprocessing(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1) % 17)
    expected = model.classifier.apply({"params": model.parameters}, inputs).logits
    np.testing.assert_allclose(json.loads(printed), expected, atol=1e-5)


def test_names_in_the_file_are_paths_of_the_parameters(exported):
    names = load_file(exported / "model.safetensors").keys()
    assert {"backbone/dense_0/kernel", "head/adapter_0/kernel", "head/classifier/bias"} <= names


def test_parameters_that_do_not_fit_are_told_by_name(exported):
    (exported / "manifest.json").unlink()  # as in a model that an earlier version exported
    arrays = load_file(exported / "model.safetensors")
    kernel = arrays.pop("head/classifier/kernel")
    save_file(arrays | {"head/output/kernel": kernel}, exported / "model.safetensors")
    with pytest.raises(ValueError, match=r"missing \['head/classifier/kernel'\].*\['head/output/kernel'\]"):
        import_model(exported)
    save_file(arrays | {"head/classifier/kernel": kernel[:1]}, exported / "model.safetensors")
    with pytest.raises(ValueError, match=r"head/classifier/kernel has shape \(1, 10\), expected \(8, 10\)"):
        import_model(exported)
    (exported / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="cannot be read"):
        import_model(exported)


def test_nothing_is_written_over(exported, finished_run):
    with pytest.raises(FileExistsError, match=r"out is .*exists already"):
        export_model(load_model(finished_run), exported)
    assert load(import_model(exported).config.data).class_names == import_model(exported).schema.class_names
