import errno
import json
import os
import stat
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


@pytest.mark.slow
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


def test_no_flipped_bit_goes_unnoticed(exported):
    generator, name = np.random.default_rng(0), exported / "model.safetensors"
    content = name.read_bytes()
    for place in generator.integers(0, len(content), 29):
        name.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        with pytest.raises(
            ValueError, match=r"model\.safetensors has changed since it was written; restore it, or"
        ):
            load_model(exported)
    name.write_bytes(content)
    load_model(exported)


@pytest.mark.parametrize("name", ["config.json", "data.json"])
def test_a_changed_digit_is_told(exported, name):
    text = (exported / name).read_text()
    (exported / name).write_text(text.replace("3", "4"))
    with pytest.raises(ValueError, match=rf"{name} has changed since it was written \(.*\)"):
        load_model(exported)


def test_weights_that_are_gone_are_told(exported):
    (exported / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors is missing"):
        load_model(exported)


def test_no_link_in_an_exported_model_is_followed(exported, tmp_path):
    (exported / "model.safetensors").rename(tmp_path / "elsewhere")
    (exported / "model.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"model\.safetensors is a symbolic link"):
        load_model(exported)


def test_a_model_that_an_earlier_version_exported_opens_with_a_warning(exported):
    (exported / "manifest.json").unlink()
    data = json.loads((exported / "data.json").read_text())
    known = {name: data[name] for name in ("class_names", "preprocessing", "dtype", "fingerprint")}
    (exported / "data.json").write_text(json.dumps(known))
    with pytest.warns(UserWarning, match=r"has no manifest\.json, so its files are not checked"):
        model = load_model(exported)
    assert model.data_version == 1
    assert model.warnings[0].startswith(str(exported))


def test_all_files_have_the_mode_that_the_umask_leaves(finished_run, tmp_path):
    before = os.umask(0o022)
    try:
        export_model(load_model(finished_run), tmp_path / "model")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "model").iterdir()} == {0o644}
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o755


def test_an_export_that_fails_leaves_nothing(finished_run, tmp_path, monkeypatch):
    def no_room(descriptor):
        if any(path.name.startswith(".model.safetensors") for path in tmp_path.rglob("*")):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    model = load_model(finished_run)
    with pytest.raises(OSError, match=r"No space left on device: '.*model'$"):
        export_model(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_a_model_has_to_be_read_with_is_exported_too(finished_run, tmp_path):
    model = load_model(finished_run)._replace(warnings=("the best epoch was lost",))
    export_model(model, tmp_path / "model")
    with pytest.warns(UserWarning, match="the best epoch was lost"):
        assert load_model(tmp_path / "model").warnings == model.warnings


def test_nothing_is_written_over(exported, finished_run):
    with pytest.raises(FileExistsError, match=r"out is .*already exists"):
        export_model(load_model(finished_run), exported)
    assert load(import_model(exported).config.data).class_names == import_model(exported).schema.class_names
