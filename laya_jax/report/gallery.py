"""Gallery of a report: prediction, layer attributions, and a thumbnail or an excerpt for each sample."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from laya_jax.attribution import contribution_shares, label_suspicion, of_class
from laya_jax.data import Schema, TextEncoder
from laya_jax.engine import softmax
from laya_jax.report.measuring import Attributed
from laya_jax.typing import JsonObject

SHEET_COLUMNS, SHEET_ROWS = 20, 25
FINE, COARSE, MANY = 144, 64, 1_000
"""Largest side of a thumbnail in pixels, for up to ``MANY`` samples and for more, to keep the file small."""

QUALITY = 85
WORDS = 60
"""Maximum number of words shown of a text."""


def gallery(attributed: Attributed, inputs: NDArray, labels: NDArray, schema: Schema) -> JsonObject:
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
            "shares": _whole(contribution_shares(some), 1000),
            "contributions": _whole(of_class(some.contributions, predicted), 100),
        }
    return {
        "labels": labels.tolist(),
        "predicted": predicted.tolist(),
        "probability": _whole(probabilities.max(axis=1), 1000),
        "suspicion": _whole(label_suspicion(logits, labels).self_confidence, 100),
        "layers": layers,
        "pictures": sprite_sheets(
            inputs.reshape(number, *schema.preprocessing.shape), FINE if number <= MANY else COARSE
        )
        if kind == "images"
        else None,
        "texts": excerpts(inputs, schema.encoder) if schema.encoder else None,
    }


def sprite_sheets(images: NDArray, largest: int = FINE) -> JsonObject:
    """Arranges images [N, H, W, C] as thumbnails on sprite sheets, each a data URL.

    Args:
      images: Images of any range.
      largest: Largest height or width of a thumbnail.

    >>> sheets = sprite_sheets(np.zeros((3, 8, 8, 1), np.uint8))
    >>> sheets["width"], sheets["sheets"][0][:22]
    (8, 'data:image/webp;base64')
    """
    thumbnails = _thumbnails(images, largest)
    height, width = thumbnails.shape[1:3]
    on_sheet = SHEET_COLUMNS * SHEET_ROWS
    sheets = [_sheet(thumbnails[start : start + on_sheet]) for start in range(0, len(images), on_sheet)]
    return {
        "sheets": sheets,
        "columns": SHEET_COLUMNS,
        "on_sheet": on_sheet,
        "width": width,
        "height": height,
    }


def _thumbnails(images: NDArray, largest: int) -> NDArray:
    """Converts images to RGB bytes and averages pixels where an image is larger than a thumbnail."""
    colours = images[..., :3] if images.shape[3] >= 3 else np.repeat(images[..., :1], 3, axis=3)
    pixels, (height, width) = _as_bytes(colours), images.shape[1:3]
    shrink = max(height, width) / largest
    if shrink <= 1:
        return pixels
    size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
    return np.stack([Image.fromarray(image).resize(size, Image.Resampling.BOX) for image in pixels])


def _sheet(thumbnails: NDArray) -> str:
    """Arranges thumbnails in rows on one picture, whose last row may be incomplete."""
    number, height, width, _ = thumbnails.shape
    rows = -(-number // SHEET_COLUMNS)
    sheet = np.zeros((rows * SHEET_COLUMNS, height, width, 3), np.uint8)
    sheet[:number] = thumbnails
    sheet = sheet.reshape(rows, SHEET_COLUMNS, height, width, 3).transpose(0, 2, 1, 3, 4)
    return _address(sheet.reshape(rows * height, SHEET_COLUMNS * width, 3))


def excerpts(inputs: NDArray, encoder: TextEncoder) -> list[str]:
    """Returns the first words of each text.

    >>> from laya_jax.data.vocabulary import Vocabulary
    >>> excerpts(np.array([[2, 1, 3, 0]]), Vocabulary(("good", "film")))
    ['good … film']
    """
    words = [row[row > 0] for row in inputs]
    return [encoder.decode(row[:WORDS]) + " …" * (len(row) > WORDS) for row in words]


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
