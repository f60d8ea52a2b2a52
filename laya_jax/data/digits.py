"""scikit-learn's 1,797 handwritten digits, which need no download."""

import numpy as np

from laya_jax.data.config import DataConfig
from laya_jax.data.dataset import Dataset, Examples, Preprocessing, make_dataset


def load_digits(config: DataConfig) -> Dataset:
    """Loads images [N, 8, 8, 1] with values from 0 to 16."""
    from sklearn import datasets

    images, labels = datasets.load_digits(return_X_y=True)
    examples = Examples(images.reshape(-1, 8, 8, 1).astype(np.uint8), labels.astype(np.int32))
    preprocessing = Preprocessing("images", (8, 8, 1), scale=(16.0,))
    return make_dataset(examples, None, tuple("0123456789"), preprocessing, config)
