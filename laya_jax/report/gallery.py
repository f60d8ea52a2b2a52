"""Gallery of a report: prediction, layer attributions, and a thumbnail or an excerpt for each sample."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from laya_jax.attribution import label_suspicion, of_class
from laya_jax.data import Schema, TextEncoder
from laya_jax.engine import softmax
from laya_jax.report.measuring import Attributed

SHEET_COLUMNS, SHEET_ROWS = 20, 25
LARGEST_THUMBNAIL = 64
QUALITY = 85
WORDS = 60
"""Maximum number of words shown of a text."""


def gallery(attributed: Attributed, inputs: NDArray, labels: NDArray, schema: Schema) -> dict[str, Any]:
    """Returns JSON-compatible data of the samples; fractions in thousandths, contributions in hundredths.

    Args:
      attributed: Measurements of these and possibly more samples.
      inputs: Stored inputs, [N, ...].
      labels: True classes, [N].
      schema: Schema of the model's data.
    """
    number, kind = len(labels), schema.preprocessing.kind
    logits = np.asarray(attributed.explained.logits[:number], np.float64)
    predicted, probabilities = np.argmax(logits, axis=1), softmax(logits)
    explanation, layers = attributed.explained.explanation, None
    if explanation is not None:
        some = explanation.take(slice(number))
        layers = {
            "attention": _whole(some.attention, 1000),
            "contributions": _whole(of_class(some.contributions, predicted), 100),
        }
    return {
        "labels": labels.tolist(),
        "predicted": predicted.tolist(),
        "probability": _whole(probabilities.max(axis=1), 1000),
        "suspicion": _whole(label_suspicion(logits, labels)["self_confidence"], 100),
        "layers": layers,
        "pictures": sprite_sheets(inputs.reshape(number, *schema.preprocessing.shape))
        if kind == "images"
        else None,
        "texts": excerpts(inputs, schema.encoder) if schema.encoder else None,
    }


def sprite_sheets(images: NDArray) -> dict[str, Any]:
    """Arranges uint8 images [N, H, W, C] as thumbnails on sprite sheets, each a data URL.

    >>> sheets = sprite_sheets(np.zeros((3, 8, 8, 1), np.uint8))
    >>> sheets["width"], sheets["sheets"][0][:22]
    (8, 'data:image/webp;base64')
    """
    number, height, width, channels = images.shape
    shrink = max(1, -(-max(height, width) // LARGEST_THUMBNAIL))
    small = images[:, ::shrink, ::shrink, : 3 if channels >= 3 else 1]
    if small.shape[3] == 1:
        small = np.repeat(small, 3, axis=3)
    _, height, width, _ = small.shape
    on_sheet, sheets = SHEET_COLUMNS * SHEET_ROWS, []
    for start in range(0, number, on_sheet):
        part = small[start : start + on_sheet]
        rows = -(-len(part) // SHEET_COLUMNS)
        sheet = np.zeros((rows * SHEET_COLUMNS, height, width, 3), np.uint8)
        sheet[: len(part)] = _as_bytes(part)
        sheet = sheet.reshape(rows, SHEET_COLUMNS, height, width, 3).transpose(0, 2, 1, 3, 4)
        sheets.append(_address(sheet.reshape(rows * height, SHEET_COLUMNS * width, 3)))
    return {
        "sheets": sheets,
        "columns": SHEET_COLUMNS,
        "on_sheet": on_sheet,
        "width": width,
        "height": height,
    }


def excerpts(inputs: NDArray, encoder: TextEncoder) -> list[str]:
    """Returns the first words of each text.

    >>> from laya_jax.data.vocabulary import Vocabulary
    >>> excerpts(np.array([[2, 1, 3, 0]]), Vocabulary(("good", "film")))
    ['good … film']
    """
    return [encoder.decode(row[row > 0][:WORDS]) for row in inputs]


def _as_bytes(images: NDArray) -> NDArray:
    """Rescales images of any range to uint8."""
    if images.dtype == np.uint8 and images.max(initial=0) > 16:
        return images
    # scikit-learn's digits, for example, range from 0 to 16.
    largest = max(float(images.max(initial=0)), 1e-12)
    return (np.clip(images / largest, 0, 1) * 255).astype(np.uint8)


def _address(pixels: NDArray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "webp", quality=QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def _whole(values: NDArray, times: int) -> list:
    return np.round(np.asarray(values) * times).astype(int).tolist()
