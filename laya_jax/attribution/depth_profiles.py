"""Depth profiles: mean attention over all samples, by class, and by correctness of the prediction."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from laya_jax.typing import JsonObject


class ClassProfile(NamedTuple):
    """Mean attention of each class.

    Attributes:
      samples: Number of samples of each class, [K].
      attention: Mean attention of each class, [K, L]; zeros for a class without samples.
    """

    samples: NDArray
    attention: NDArray

    def to_json(self) -> JsonObject:
        """Converts to JSON values, with None for a class without samples.

        >>> ClassProfile(np.array([1, 0]), np.array([[0.2, 0.8], [0.0, 0.0]])).to_json()["by_class"]
        [[0.2, 0.8], None]
        """
        rows = [
            row if number else None for row, number in zip(self.attention.tolist(), self.samples, strict=True)
        ]
        return {"examples": self.samples.tolist(), "by_class": rows}


class Profiles(NamedTuple):
    """Depth profiles of attention.

    Attributes:
      mean: Mean over all samples, [L].
      deviation: Standard deviation over all samples, [L].
      all: Profile by true class.
      correct: Profile by true class of the correctly classified samples.
      wrong: Profile by true class of the misclassified samples.
      effective_depth: ``exp(H(mean attention))``, the effective number of layers.
      sample_depth: Mean over the samples of ``exp(H(attention))``.
      mutual_information: Mutual information of sample and layer in bits; 0 if all samples share one
        attention.
    """

    mean: NDArray
    deviation: NDArray
    all: ClassProfile
    correct: ClassProfile
    wrong: ClassProfile
    effective_depth: float
    sample_depth: float
    mutual_information: float

    def to_json(self) -> JsonObject:
        """Converts to JSON values."""
        values: JsonObject = {}
        for name, value in self._asdict().items():
            if isinstance(value, ClassProfile):
                values[name] = value.to_json()
            else:
                values[name] = value.tolist() if isinstance(value, np.ndarray) else value
        return values


def profiles(attention: NDArray, labels: NDArray, predicted: NDArray, num_classes: int) -> Profiles:
    """Computes the depth profiles of attention.

    Args:
      attention: Attention [N, L].
      labels: True classes, [N].
      predicted: Predicted classes, [N].
      num_classes: Number of classes, K; some may have no samples.

    Reference: LAYA (arXiv 2511.12723), section 4.3.

    >>> attention = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> found = profiles(attention, np.array([0, 1]), np.array([0, 0]), num_classes=2)
    >>> found.mutual_information, found.wrong.attention[1]
    (1.0, array([0., 1.]))
    """
    attention, right = np.asarray(attention, np.float64), labels == predicted
    return Profiles(
        attention.mean(axis=0),
        attention.std(axis=0),
        class_profile(attention, labels, num_classes),
        class_profile(attention[right], labels[right], num_classes),
        class_profile(attention[~right], labels[~right], num_classes),
        float(effective_depth(attention.mean(axis=0))),
        float(effective_depth(attention).mean()),
        mutual_information(attention),
    )


def class_profile(attention: NDArray, classes: NDArray, num_classes: int) -> ClassProfile:
    """Averages attention by class.

    Args:
      attention: Attention [N, L].
      classes: Class of each sample, [N].
      num_classes: Number of classes, K.

    >>> class_profile(np.array([[0.2, 0.8], [0.4, 0.6]]), np.array([1, 1]), num_classes=2).attention.round(2)
    array([[0. , 0. ],
           [0.3, 0.7]])
    """
    samples = np.bincount(classes, minlength=num_classes)
    sums = np.zeros((num_classes, attention.shape[1]))
    np.add.at(sums, classes, attention)
    return ClassProfile(samples, sums / np.maximum(samples, 1)[:, None])


def entropy(attention: NDArray) -> NDArray:
    """Computes the entropy over the last axis, ``-sum alpha log alpha``, in nats.

    >>> entropy(np.array([[1.0, 0.0], [0.5, 0.5]])).round(4)
    array([0.    , 0.6931])
    """
    return entr(np.asarray(attention, np.float64)).sum(axis=-1)


def effective_depth(attention: NDArray) -> NDArray:
    """Computes the effective number of layers, ``exp(entropy)``, from 1 to L.

    >>> effective_depth(np.array([0.5, 0.5, 0.0])).round(6)
    np.float64(2.0)
    """
    return np.exp(entropy(attention))


def mutual_information(attention: NDArray) -> float:
    """Computes the mutual information of sample and layer in bits.

    ``H(mean attention) - mean H(attention)``; it is 0 for a global mix and for attention that has collapsed
    onto one layer, and at most log2(L).

    >>> mutual_information(np.array([[1.0, 0.0], [0.0, 1.0]]))
    1.0
    """
    attention = np.asarray(attention, np.float64)
    information = entropy(attention.mean(axis=0)) - entropy(attention).mean()
    return max(0.0, float(information / np.log(2)))
