"""Attribution of predictions to layers, and tests of how faithful it is: pure functions on arrays.

``explain`` extracts an ``Explanation`` from a head, on which all other functions operate:

profiles        mean attention: overall, by class, for right and wrong predictions, per sample
contributions   contributions of the layers to a class, and their shares over all classes
subsets         predictions from subsets of the layers
shapley         Shapley values of the layers
curves          predicted probability as the top-attention layers are removed, or are all that is kept
depth accuracy  accuracy from each layer alone and from the first layers
agreement       rank agreement of an attribution with leaving layers out
faithfulness    effect of deleting layers and of replacing attention
rescaling       changes of attention that leave predictions unchanged
similarity      agreement of attention between runs, parameters or inputs
randomization   parameters randomised part by part
diagnostics     detection of mistakes, out-of-distribution inputs and wrong labels
plots           figures of all of these
"""

from laya_jax.attribution.adapter_scaling import Rescaling, rescaled, rescaling
from laya_jax.attribution.attention_similarity import (
    Overlap,
    Similarity,
    Stability,
    centred_correlation,
    jensen_shannon,
    profile_overlap,
    similarity,
    stability,
)
from laya_jax.attribution.contributions import contribution_shares, margins, of_class
from laya_jax.attribution.curves import Curve, LayerCurves, curve_of, layer_curves
from laya_jax.attribution.depth_accuracy import DepthAccuracy, accuracy_over_depth
from laya_jax.attribution.depth_profiles import (
    ClassProfile,
    Profiles,
    class_profile,
    effective_depth,
    entropy,
    mutual_information,
    profiles,
)
from laya_jax.attribution.diagnostics import (
    Detection,
    LabelSuspicion,
    Uncertainty,
    by_name,
    detection,
    label_suspicion,
    precision_at,
    risk_coverage_area,
    uncertainty,
)
from laya_jax.attribution.explanation import Explanation, explain
from laya_jax.attribution.faithfulness import (
    ReplacedAttention,
    Replacement,
    completeness_gap,
    deletion_flips,
    opposing_top_layer,
    replaced_attention,
)
from laya_jax.attribution.layer_agreement import (
    Agreement,
    Attributions,
    RankAgreement,
    agreement,
    attributions,
    leave_one_out,
    rank_agreement,
)
from laya_jax.attribution.plots import STYLE
from laya_jax.attribution.randomization import randomizations
from laya_jax.attribution.shapley import ShapleyValues, shapley_of_class, shapley_values
from laya_jax.attribution.subsets import all_masks, masked_logits

__all__ = [
    "STYLE",
    "Agreement",
    "Attributions",
    "ClassProfile",
    "Curve",
    "DepthAccuracy",
    "Detection",
    "Explanation",
    "LabelSuspicion",
    "LayerCurves",
    "Overlap",
    "Profiles",
    "RankAgreement",
    "ReplacedAttention",
    "Replacement",
    "Rescaling",
    "ShapleyValues",
    "Similarity",
    "Stability",
    "Uncertainty",
    "accuracy_over_depth",
    "agreement",
    "all_masks",
    "attributions",
    "by_name",
    "centred_correlation",
    "class_profile",
    "completeness_gap",
    "contribution_shares",
    "curve_of",
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
    "profile_overlap",
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
