"""Time of a ViT-S/14's hidden states at 224 x 224 pixels, float32, against PyTorch and onnxruntime.

    pip install "laya-jax[bench]"
    python -m experiments.benchmarks.hidden_states

All libraries run the same network with the same random weights on 64 images, and return the class tokens of
all 12 blocks. This library chooses its own batch size; the others are tried with several sizes.
"""

import io
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from experiments.benchmarks.timing import compare, report
from laya_jax.backbones import ViT
from laya_jax.data import Preprocessing
from laya_jax.engine import make_parallel
from laya_jax.inputs import make_extractor
from laya_jax.training import ParallelConfig

IMAGES, ROUNDS, SIZES = 64, 5, (1, 4, 16)
BACKBONE = ViT(patch_size=14, width=384, depth=12, heads=6, grid=(16, 16), layer_scale=True)


class Block(nn.Module):
    """Transformer block in PyTorch, with the parameters of ours."""

    def __init__(self, parameters: Any) -> None:
        super().__init__()
        self.norms = nn.ModuleList(_norm(**parameters[f"norm_{number}"]) for number in (1, 2))
        attention = parameters["attention"]
        self.query_key_value = _linear(
            np.concatenate([attention[part]["kernel"] for part in ("query", "key", "value")], axis=1),
            np.concatenate([attention[part]["bias"] for part in ("query", "key", "value")]),
        )
        self.out = _linear(**attention["out"])
        self.mlp = nn.Sequential(
            _linear(**parameters["mlp"]["hidden"]), nn.GELU(), _linear(**parameters["mlp"]["out"])
        )
        self.scales = nn.ParameterList(torch.tensor(parameters[f"scale_{number}"]) for number in (1, 2))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Computes the output states [B, T, D] of the block."""
        batch, length, width = states.shape
        parts = self.query_key_value(self.norms[0](states)).reshape(batch, length, 3, 6, 64)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        attended = attended.transpose(1, 2).reshape(batch, length, width)
        states = states + self.scales[0] * self.out(attended)
        return states + self.scales[1] * self.mlp(self.norms[1](states))


class TorchViT(nn.Module):
    """Vision transformer in PyTorch, with the parameters of ours."""

    def __init__(self, parameters: Any) -> None:
        super().__init__()
        kernel = np.array(parameters["patches"]["kernel"]).reshape(14, 14, 3, 384).transpose(3, 2, 0, 1)
        self.patches = nn.Conv2d(3, 384, 14, 14)
        self.patches.weight.data = torch.tensor(kernel.copy())
        self.patches.bias.data = torch.tensor(np.array(parameters["patches"]["bias"]))
        self.token = nn.Parameter(torch.tensor(np.array(parameters["class_token"])))
        self.positions = nn.Parameter(torch.tensor(np.array(parameters["positions"])))
        self.blocks = nn.ModuleList(Block(parameters[f"block_{i}"]) for i in range(12))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Computes the class tokens [B, 12, 384] of images [B, 3, H, W]."""
        states = self.patches(images).flatten(2).transpose(1, 2)
        tokens = self.token.expand(len(images), 1, 384)
        states = torch.cat([tokens, states], dim=1) + self.positions
        found = []
        for block in self.blocks:
            states = block(states)
            found.append(states[:, 0])
        return torch.stack(found, dim=1)


def _norm(scale: Any, bias: Any) -> nn.LayerNorm:
    layer = nn.LayerNorm(len(bias), eps=1e-6)
    layer.weight.data, layer.bias.data = (torch.tensor(np.array(part)) for part in (scale, bias))
    return layer


def _linear(kernel: Any, bias: Any) -> nn.Linear:
    layer = nn.Linear(*kernel.shape)
    layer.weight.data = torch.tensor(np.array(kernel).T.copy())
    layer.bias.data = torch.tensor(np.array(bias))
    return layer


def ours(parameters: Any, images: NDArray) -> Callable[[], NDArray]:
    """Returns this library's extraction of hidden states, as used to fill its cache."""
    parallel = make_parallel(ParallelConfig(devices=1), batch_size=1)
    extract = make_extractor(BACKBONE, Preprocessing("images", images.shape[1:]), parallel)
    placed = parallel.replicate(parameters)
    return lambda: np.concatenate(list(extract(placed, images)))


def pytorch(model: TorchViT, images: NDArray, size: int, *, compiled: bool) -> Callable[[], NDArray]:
    """Returns the extraction in PyTorch, eager or compiled."""
    run: Any = torch.compile(model) if compiled else model

    def read(x: NDArray) -> NDArray:
        with torch.inference_mode():
            return run(torch.from_numpy(x)).numpy()

    return lambda: _in_batches(read, images.transpose(0, 3, 1, 2).copy(), size)


def onnx(model: TorchViT, images: NDArray, size: int) -> Callable[[], NDArray]:
    """Returns the extraction in onnxruntime, on the model exported from PyTorch."""
    nchw = images.transpose(0, 3, 1, 2).copy()
    file = io.BytesIO()
    torch.onnx.export(model, (torch.from_numpy(nchw[:size]),), file, input_names=["images"], dynamo=False)
    options = onnxruntime.SessionOptions()
    # Spinning threads would slow down the other libraries.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda: _in_batches(lambda x: session.run(None, {"images": x})[0], nchw, size)


def _in_batches(read: Callable[[NDArray], NDArray], images: NDArray, size: int) -> NDArray:
    return np.concatenate([read(images[i : i + size]) for i in range(0, len(images), size)])


def main() -> None:
    """Checks that all alternatives agree, times them in turn and writes the results."""
    images = np.random.default_rng(0).normal(size=(IMAGES, 224, 224, 3)).astype(np.float32)
    drawn = BACKBONE.init(jax.random.key(0), images[:1])["params"]
    parameters = jax.tree.map(lambda leaf: np.array(leaf) + np.float32(0.01), drawn)
    model = TorchViT(parameters).eval()
    alternatives = {"laya_jax": ours(parameters, images)}
    for size in SIZES:
        alternatives[f"PyTorch, {size} at once"] = pytorch(model, images, size, compiled=False)
        alternatives[f"PyTorch, compiled, {size} at once"] = pytorch(model, images, size, compiled=True)
        alternatives[f"onnxruntime, {size} at once"] = onnx(model, images, size)
    expected = alternatives["laya_jax"]()
    for name, run in alternatives.items():
        np.testing.assert_allclose(run(), expected, rtol=1e-3, atol=1e-3, err_msg=name)
    report("hidden_states", {f"{IMAGES} images": compare(alternatives, ROUNDS)})


if __name__ == "__main__":
    main()
