"""What tests of runs on frozen backbones look at."""

import jax

from laya_jax.training import Listener, load_model


class Counter(Listener):
    """A listener that remembers how many hidden states were computed."""

    def __init__(self):
        self.extracted_ones, self.lines = [], []

    def extracted(self, done, total):
        self.extracted_ones.append((done, total))

    def epoch(self, run, line):
        self.lines.append(line)


def leaves(path):
    """The parameters of a run."""
    return jax.tree.leaves(load_model(path).parameters)
