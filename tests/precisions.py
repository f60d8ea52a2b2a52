import re

import jax


def precisions_on_tpu(function, *arguments):
    """The precision of every matrix product of a function as it is lowered for a TPU."""
    text = jax.jit(function).trace(*arguments).lower(lowering_platforms=("tpu",)).as_text()
    products = re.findall(r"stablehlo\.dot_general.*", text)
    named = [re.search(r"precision = \[(\w+), \1\]", product) for product in products]
    return ["DEFAULT" if found is None else found[1] for found in named]
