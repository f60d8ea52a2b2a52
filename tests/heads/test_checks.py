"""What is said about wrong input to the heads, and that it is said whichever head it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from laya_jax import ConcatHead, LastLayerHead, LayaHead, ScalarMixHead

WIDTHS = (12, 8, 6)
HEADS = {
    "laya": LayaHead(num_classes=5, dim=7),
    "scalar_mix": ScalarMixHead(num_classes=5, dim=7),
    "concat": ConcatHead(num_classes=5, dim=7),
    "last_layer": LastLayerHead(num_classes=5),
}


def one(width, dtype="float32"):
    return jnp.zeros((2, width), dtype)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(
    ("hidden_states", "error", "message"),
    [
        ([], ValueError, "hidden_states is empty"),
        ([one(3), jnp.zeros((4, 3))], ValueError, r"batch sizes \[2, 4\]"),
        ([one(3), jnp.zeros((2, 5, 3))], ValueError, r"hidden_states\[1\] has shape \(2, 5, 3\).*pool"),
        ([one(3), jnp.zeros(3)], ValueError, r"hidden_states\[1\] has shape \(3,\)"),
        (one(3), ValueError, r"one array of shape \(2, 3\)"),
        (jnp.zeros((2, 3, 4, 5)), ValueError, r"shape \(2, 3, 4, 5\), expected \[layer, batch, width\]"),
        (jnp.zeros((0, 3, 4)), ValueError, "at least one layer"),
        ([one(3), one(3, "int32")], TypeError, r"hidden_states\[1\] has dtype int32"),
        (jnp.zeros((2, 3, 4), "int32"), TypeError, "dtype int32"),
        ([one(3), None], TypeError, r"hidden_states\[1\] is a NoneType"),
        ({"layer_1": one(3)}, TypeError, "mapping"),
        ("layers", TypeError, "is a str"),
        ([one(0)], ValueError, "width of at least 1"),
    ],
)
def test_wrong_hidden_states_are_named(name, hidden_states, error, message):
    with pytest.raises(error, match=message):
        HEADS[name].init(jax.random.key(0), hidden_states)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"temperature": 0}, ValueError, "temperature is 0"),
        ({"temperature": -1.0}, ValueError, "temperature is -1.0"),
        ({"temperature": float("nan")}, ValueError, "temperature is nan"),
        ({"temperature": "1.5"}, TypeError, "temperature is '1.5'"),
        ({"temperature": True}, TypeError, "temperature is True"),
        ({"dim": 0}, ValueError, "dim is 0"),
        ({"dim": 2.5}, TypeError, "dim is 2.5"),
        ({"scorer_width": 0}, ValueError, "scorer_width is 0"),
        ({"num_classes": 0}, ValueError, "num_classes is 0"),
        ({"num_classes": -3}, ValueError, "num_classes is -3"),
        ({"psi": "mpl"}, ValueError, "psi is 'mpl', expected one of 'identity', 'mlp'"),
    ],
)
def test_wrong_settings_of_laya_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        LayaHead(**{"num_classes": 5, "dim": 7, **arguments})


@pytest.mark.parametrize("head", [ScalarMixHead, ConcatHead])
def test_wrong_settings_of_the_other_heads_are_named(head):
    with pytest.raises(ValueError, match="num_classes is 0"):
        head(num_classes=0, dim=7)
    with pytest.raises(ValueError, match="dim is 0"):
        head(num_classes=5, dim=0)
    with pytest.raises(ValueError, match="num_classes is 0"):
        LastLayerHead(num_classes=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ([True, False], ValueError, r"shape \(2,\), expected \(3,\) or \(4, 3\)"),
        (np.ones((3, 3), bool), ValueError, r"shape \(3, 3\), expected"),
        ([False, False, False], ValueError, "masks every layer"),
        (np.array([[True] * 3, [False] * 3, [True] * 3, [True] * 3]), ValueError, "masks every layer"),
        ([0, 2, 1], TypeError, "dtype int64, expected bool"),
    ],
)
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", HEADS)
def test_wrong_masks_are_named(make_hidden_states, name, jit, mask, error, message):
    hidden_states = make_hidden_states(WIDTHS)
    variables = HEADS[name].init(jax.random.key(0), hidden_states)

    def apply(hidden_states):
        return HEADS[name].apply(variables, hidden_states, mask)

    with pytest.raises(error, match=message):
        (jax.jit(apply) if jit else apply)(hidden_states)
    if np.ndim(mask) == 1:
        with pytest.raises(error, match=message):
            HEADS[name].clone(layer_mask=mask).apply(variables, hidden_states)


def test_a_static_mask_of_any_kind_leaves_the_head_hashable():
    heads = [
        LayaHead(num_classes=5, dim=7, layer_mask=kind([True, False])) for kind in (list, np.array, jnp.array)
    ]
    assert {head.layer_mask for head in heads} == {(True, False)}
    assert len({hash(head) for head in heads}) == 1
    with pytest.raises(ValueError, match=r"layer_mask has shape \(1, 2\), expected one value per layer"):
        LayaHead(num_classes=5, dim=7, layer_mask=[[True, False]])


def test_two_masks_that_leave_nothing_together_are_refused(make_hidden_states):
    head = LayaHead(num_classes=5, dim=7, layer_mask=(True, False, False))
    with pytest.raises(ValueError, match="masks every layer"):
        head.init(jax.random.key(0), make_hidden_states(WIDTHS), [False, True, True])


@pytest.mark.parametrize("jit", [False, True])
def test_the_last_layer_head_refuses_to_lose_its_layer(make_hidden_states, jit):
    head = LastLayerHead(num_classes=5, layer_mask=(True, True, False))
    init = jax.jit(head.init) if jit else head.init
    with pytest.raises(ValueError, match="masks the last layer"):
        init(jax.random.key(0), make_hidden_states(WIDTHS))
    with pytest.raises(ValueError, match="masks the last layer"):
        HEADS["last_layer"].init(jax.random.key(0), make_hidden_states(WIDTHS), [True, True, False])


@pytest.mark.parametrize("name", [name for name in HEADS if name != "last_layer"])
@pytest.mark.parametrize("jit", [False, True])
def test_other_hidden_states_than_at_init_are_named(make_hidden_states, name, jit):
    variables = HEADS[name].init(jax.random.key(0), make_hidden_states(WIDTHS))
    apply = jax.jit(HEADS[name].apply) if jit else HEADS[name].apply
    with pytest.raises(ValueError, match=r"do not fit 2 hidden states.*adapter_2/kernel is not expected"):
        apply(variables, make_hidden_states(WIDTHS[:2]))
    with pytest.raises(ValueError, match=r"do not fit 4 hidden states.*adapter_3/kernel is missing"):
        apply(variables, make_hidden_states((*WIDTHS, 6)))
    with pytest.raises(ValueError, match=r"adapter_1/kernel has shape \(8, 7\), expected \(9, 7\)"):
        apply(variables, make_hidden_states((12, 9, 6)))


def test_the_last_layer_head_names_another_width(make_hidden_states):
    variables = HEADS["last_layer"].init(jax.random.key(0), make_hidden_states(WIDTHS))
    with pytest.raises(ValueError, match=r"classifier/kernel has shape \(6, 5\), expected \(8, 5\)"):
        HEADS["last_layer"].apply(variables, make_hidden_states(WIDTHS[:2]))
