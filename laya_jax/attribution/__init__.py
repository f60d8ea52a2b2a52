"""What the layers did for a prediction, and how far that can be believed: pure functions on arrays.

``explain`` reads from a head what all the others work on, an ``Explanation``:

profiles        where attention lies: overall, by class, of right and wrong predictions, per sample
contributions   what layers add to a class
subsets         predictions from some of the layers
shapley         the share of each layer in a prediction that is fair by axioms
curves          which layers are enough, and without which a prediction falls
agreement       whether an attribution agrees with leaving a layer out
faithfulness    whether attention tells what the head used
rescaling       how far attention is free while decisions stay
similarity      whether another run, other parameters or another input give the same attention
randomization   parameters made random again, part by part
diagnostics     whether attention tells mistakes, strange inputs and wrong labels
plots           all of it as figures
"""

from laya_jax.attribution.agreement import (
    Agreement,
    RankAgreement,
    agreement,
    attributions,
    leave_one_out,
    rank_agreement,
)
from laya_jax.attribution.contributions import margins, of_class
from laya_jax.attribution.curves import LayerCurves, layer_curves
from laya_jax.attribution.diagnostics import (
    Detection,
    detection,
    label_suspicion,
    precision_at,
    risk_coverage_area,
    uncertainty,
)
from laya_jax.attribution.explanation import Explanation, explain
from laya_jax.attribution.faithfulness import (
    Replacement,
    completeness_gap,
    deletion_flips,
    opposing_top_layer,
    replaced_attention,
)
from laya_jax.attribution.profiles import (
    ClassProfile,
    Profiles,
    class_profile,
    effective_depth,
    entropy,
    mutual_information,
    profiles,
)
from laya_jax.attribution.randomization import randomizations
from laya_jax.attribution.rescaling import Rescaling, rescaled, rescaling
from laya_jax.attribution.shapley import ShapleyValues, shapley_of_class, shapley_values
from laya_jax.attribution.similarity import (
    Similarity,
    Stability,
    centred_correlation,
    jensen_shannon,
    similarity,
    stability,
)
from laya_jax.attribution.subsets import all_masks, masked_logits

__all__ = [
    "Agreement",
    "ClassProfile",
    "Detection",
    "Explanation",
    "LayerCurves",
    "Profiles",
    "RankAgreement",
    "Replacement",
    "Rescaling",
    "ShapleyValues",
    "Similarity",
    "Stability",
    "agreement",
    "all_masks",
    "attributions",
    "centred_correlation",
    "class_profile",
    "completeness_gap",
    "deletion_flips",
    "detection",
    "effective_depth",
    "entropy",
    "explain",
    "jensen_shannon",
    "label_suspicion",
    "layer_curves",
    "leave_one_out",
    "margins",
    "masked_logits",
    "mutual_information",
    "of_class",
    "opposing_top_layer",
    "precision_at",
    "profiles",
    "randomizations",
    "rank_agreement",
    "replaced_attention",
    "rescaled",
    "rescaling",
    "risk_coverage_area",
    "shapley_of_class",
    "shapley_values",
    "similarity",
    "stability",
    "uncertainty",
]
