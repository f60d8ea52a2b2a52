"""Numbers reported in the paper: LAYA (arXiv 2511.12723), section 4, Tables 1 and 2, Figures 1 to 3."""

from typing import NamedTuple


class Published(NamedTuple):
    """Row of Table 1: means and standard deviations over five seeds, and the interval of the accuracy."""

    accuracy: float
    deviation: float
    macro_f1: float
    macro_f1_deviation: float
    low: float
    high: float


SEEDS = 5
"""Number of seeds of each row of Table 1."""

PROTOCOL = {
    "epochs": "at most 50",
    "patience, epochs": "5",
    "learning rate": "0.0003 to 0.001",
    "learning rate schedule": "constant",
    "batch size": "128 on Fashion-MNIST",
    "widths": "512-256-128 on Fashion-MNIST",
    "words read of a review": "not stated",
    "embedding": "not stated",
    "d* of concat and scalar_mix": "tuned, result not stated",
}
"""Training settings shared by all heads."""

TABLE_1 = {
    "fashion-mnist": {
        "last_layer": Published(0.8829, 0.0063, 0.8826, 0.0066, 0.8752, 0.8907),
        "concat": Published(0.8789, 0.0020, 0.8783, 0.0020, 0.8764, 0.8814),
        "scalar_mix": Published(0.8807, 0.0026, 0.8800, 0.0027, 0.8775, 0.8839),
        "laya": Published(0.8834, 0.0046, 0.8827, 0.0052, 0.8777, 0.8891),
    },
    "cifar10": {
        "last_layer": Published(0.7112, 0.0236, 0.7108, 0.0228, 0.6819, 0.7405),
        "concat": Published(0.7155, 0.0096, 0.7136, 0.0117, 0.7036, 0.7274),
        "scalar_mix": Published(0.7144, 0.0171, 0.7123, 0.0177, 0.6932, 0.7356),
        "laya": Published(0.7212, 0.0060, 0.7205, 0.0053, 0.7138, 0.7286),
    },
    "imdb": {
        "last_layer": Published(0.8692, 0.0057, 0.8691, 0.0057, 0.8621, 0.8762),
        "concat": Published(0.8688, 0.0062, 0.8687, 0.0063, 0.8611, 0.8765),
        "scalar_mix": Published(0.8669, 0.0043, 0.8669, 0.0044, 0.8614, 0.8723),
        "laya": Published(0.8707, 0.0035, 0.8707, 0.0035, 0.8663, 0.8751),
    },
}

TABLE_2 = {
    "fashion-mnist": {"dim": 96, "temperature": 1.5, "psi": "identity", "scorer_width": 192},
    "cifar10": {"dim": 128, "temperature": 1.0, "psi": "identity", "scorer_width": 128},
    "imdb": {"dim": 96, "temperature": 1.3, "psi": "mlp", "scorer_width": 192},
}
"""Best settings of LAYA, by data set."""

FIGURE_1 = {"fashion-mnist": {3: 0.76}, "cifar10": {3: 0.96}, "imdb": {1: 0.48, 2: 0.52}}
"""Mean attention by data set and layer, where stated in the text."""

FIGURE_2 = {"fashion-mnist": {"Sandal": (1, 0.87), "T-shirt/top": (2, 0.53)}}
"""Layer and mean attention by data set and class, where stated in the text."""

FIGURE_3 = "h5, h7, h9 to h11 most"
"""Layers of the ViT with the most attention on the artworks, as stated in the text."""
