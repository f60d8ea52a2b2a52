"""Keys of a ``config.json`` by family: read, restricted to some values, or harmless; others are rejected."""

from collections.abc import Mapping
from typing import NamedTuple


class Family(NamedTuple):
    """Keys of a family of models, as interpreted by transformers 4.57 and 5.24.

    Attributes:
      read: Keys that determine the backbone.
      fixed: Keys that change the hidden states, with the values that match the backbone.
      harmless: Keys that do not change the hidden states.
      epsilon: Default epsilon of the layer normalisations.
    """

    read: frozenset[str]
    fixed: Mapping[str, tuple[object, ...]]
    harmless: frozenset[str]
    epsilon: float


FIXED: Mapping[str, tuple[object, ...]] = {
    "hidden_act": ("gelu", "gelu_python"),
    "is_decoder": (False, None),
    "is_encoder_decoder": (False, None),
    "add_cross_attention": (False, None),
    "cross_attention_hidden_size": (None,),
    "pruned_heads": ({}, None),
    "per_layer_config": (None, {}),
    "tie_last_hidden_states": (False, None),
}
"""Keys of every family that change the hidden states, with the values at which they do not."""


def _keys(names: str) -> frozenset[str]:
    return frozenset(names.split())


SIZES = _keys("hidden_size num_hidden_layers num_attention_heads intermediate_size layer_norm_eps model_type")

# Names and versions; format of the outputs, or equivalent computations; training; heads; generation.
HARMLESS = _keys(
    """
    architectures transformers_version _name_or_path name_or_path _commit_hash finetuning_task language name
    output_hidden_states output_attentions output_past return_dict use_cache torchscript tf_legacy_loss
    use_bfloat16 torch_dtype dtype xla_device chunk_size_feed_forward _attn_implementation attn_implementation
    _attn_implementation_autoset _attn_implementation_internal
    hidden_dropout_prob attention_probs_dropout_prob classifier_dropout drop_path_rate initializer_range
    gradient_checkpointing
    id2label label2id num_labels _num_labels problem_type task_specific_params sentence_transformers
    sbert_ce_default_activation_function tie_word_embeddings tie_encoder_decoder
    tokenizer_class prefix bos_token_id eos_token_id sep_token_id cls_token_id mask_token_id
    decoder_start_token_id max_length min_length do_sample early_stopping num_beams num_beam_groups
    diversity_penalty temperature top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size
    encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores return_dict_in_generate
    forced_bos_token_id forced_eos_token_id remove_invalid_values exponential_decay_length_penalty
    suppress_tokens begin_suppress_tokens
    """
)
"""Keys of every family that do not change the hidden states."""

# Keys of poolers and decoders, which follow the last hidden state; masks are for pretraining.
VIT_HARMLESS = _keys("encoder_stride pooler_act pooler_output_size use_mask_token pad_token_id")

# Outputs of transformers' Dinov2Backbone, and initial values of LayerScale.
DINOV2_HARMLESS = _keys(
    """
    out_features out_indices _out_features _out_indices stage_names apply_layernorm reshape_hidden_states
    layerscale_value use_mask_token pad_token_id
    """
)

# All tokens have type 0. The rest are keys of older files that no version of transformers reads.
BERT_HARMLESS = _keys(
    """
    type_vocab_size directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
    pooler_size_per_head pooler_type
    """
)

IMAGES = SIZES | {"image_size", "patch_size"}

FAMILIES: Mapping[str, Family] = {
    "dinov2": Family(
        (IMAGES - {"intermediate_size"}) | {"mlp_ratio"},
        {**FIXED, "num_channels": (3,), "qkv_bias": (True,), "use_swiglu_ffn": (False,)},
        HARMLESS | DINOV2_HARMLESS,
        1e-6,
    ),
    "vit": Family(
        IMAGES, {**FIXED, "num_channels": (3,), "qkv_bias": (True,)}, HARMLESS | VIT_HARMLESS, 1e-12
    ),
    "bert": Family(
        SIZES | {"vocab_size", "max_position_embeddings", "pad_token_id"},
        {**FIXED, "position_embedding_type": ("absolute",)},
        HARMLESS | BERT_HARMLESS,
        1e-12,
    ),
}
"""Families by ``model_type``."""
