"""What the layers did for a prediction, and how far that can be believed: pure functions on arrays."""

from laya_jax.attribution.faithfulness import deletion_flips

__all__ = ["deletion_flips"]
