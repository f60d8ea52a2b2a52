"""Preprocessing of images as a pretrained model expects it."""

import json

import numpy as np
import pytest
from small_models import write_vit

from laya_jax.backbones.pretrained import (
    image_notes,
    read_normalization,
)

VIT = {
    **{"do_convert_rgb": None, "do_normalize": True, "do_rescale": True, "do_resize": True},
    **{"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 4], "image_processor_type": "ViTImageProcessor"},
    **{"resample": 2, "rescale_factor": 1 / 255, "size": {"height": 224, "width": 224}},
}
"""As transformers writes it."""


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


@pytest.mark.slow
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
