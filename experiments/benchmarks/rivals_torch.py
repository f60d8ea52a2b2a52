"""The paper's models in PyTorch; started by ``training``."""

import math
import sys
from functools import partial
from itertools import pairwise

import torch
from torch import nn

from experiments.benchmarks.problems import PROBLEMS, VOCABULARY, Problem, Training, serve
from laya_jax.engine import cores


class Laya(nn.Module):
    """Backbone with the LAYA head."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        directions = 2 if problem.name == "bilstm" else 1
        widths = [directions * width for width in problem.backbone.widths]
        dim, layers = problem.head.dim, len(widths)
        self.backbone, self.temperature = BACKBONES[problem.name](problem), problem.head.temperature
        self.adapters = nn.ModuleList(nn.Linear(width, dim) for width in widths)
        self.psi = nn.Identity()
        if problem.head.psi == "mlp":
            self.psi = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim), nn.GELU())
        hidden = nn.Linear(layers * dim, problem.head.scorer_width)
        self.scorer = nn.Sequential(
            nn.Flatten(), hidden, nn.GELU(), nn.Linear(problem.head.scorer_width, layers)
        )
        self.classifier = nn.Linear(dim, problem.classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Computes the logits [B, classes]."""
        pairs = zip(self.adapters, self.backbone(inputs), strict=True)
        z = torch.stack([adapter(state) for adapter, state in pairs], dim=1)
        attention = torch.softmax(self.scorer(self.psi(z)) / self.temperature, dim=1)
        return self.classifier((attention[:, :, None] * z).sum(dim=1))


class MLP(nn.Module):
    """MLP for Fashion-MNIST."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        widths = (math.prod(problem.shape), *problem.backbone.widths)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), nn.LayerNorm(b, eps=1e-3), nn.GELU()) for a, b in pairwise(widths)
        )

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Computes the hidden states of all layers."""
        x, states = images.flatten(1).float() / 255, []
        for stage in self.stages:
            x = stage(x)
            states.append(x)
        return states


class SeparableCNN(nn.Module):
    """Separable CNN for CIFAR-10, with channels last in memory."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        widths = (problem.shape[-1], *problem.backbone.widths)
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                nn.Identity() if a == widths[0] else nn.AvgPool2d(2),
                nn.Conv2d(a, a, 3, padding=1, groups=a, bias=False),
                nn.Conv2d(a, b, 1),
            )
            for a, b in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.Sequential(nn.LayerNorm(b, eps=1e-3), nn.GELU()) for b in widths[1:])
        self.to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Computes the hidden states of all layers."""
        x, states = images.float() / 255, []
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            # Viewing [B, H, W, C] as [B, C, H, W] with channels last in memory copies nothing.
            x = norm(convolution(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
            states.append(x.mean(dim=(1, 2)))
        return states


class BiLSTM(nn.Module):
    """BiLSTM for IMDB."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, problem.backbone.embedding_dim)
        widths = (problem.backbone.embedding_dim, *(2 * width for width in problem.backbone.widths))
        self.layers = nn.ModuleList(nn.LSTM(a, b // 2, bidirectional=True) for a, b in pairwise(widths))

    def forward(self, tokens: torch.Tensor) -> list[torch.Tensor]:
        """Computes the hidden states of all layers."""
        x, states = self.embedding(tokens.T), []
        for lstm in self.layers:
            x, (final, _) = lstm(x)
            states.append(torch.cat((final[0], final[1]), dim=1))
        return states


BACKBONES = {"mlp": MLP, "separable_cnn": SeparableCNN, "bilstm": BiLSTM}


def train(problem: Problem, compiled: bool) -> Training:
    """Sets up the problem's training steps, eager or compiled."""
    model = Laya(problem)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, eps=1e-7, fused=True)
    inputs, labels = torch.from_numpy(problem.inputs), torch.from_numpy(problem.labels).long()
    order = torch.from_numpy(problem.order).long()

    def loss(batch: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(model(inputs[batch]), labels[batch])

    loss = torch.compile(loss) if compiled else loss

    def chunk() -> None:
        for batch in order:
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()

    return Training(chunk, sum(parameter.numel() for parameter in model.parameters()))


if __name__ == "__main__":
    torch.set_num_threads(cores())
    problem = PROBLEMS[sys.argv[1]]
    serve({"eager": partial(train, problem, False), "compiled": partial(train, problem, True)})
