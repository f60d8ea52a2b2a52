"""Inference over a set of examples, each exactly once, with one or several sets of parameters."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import starmap

import jax
import numpy as np
from numpy.typing import NDArray

from laya_jax.data import Preprocessing, evaluation_indices
from laya_jax.engine.feed import Feed
from laya_jax.engine.parallel import Parallel
from laya_jax.engine.steps import Batches, Reader, make_output_chunk
from laya_jax.typing import Parameters, PyTree


class Predictor:
    """Compiled inference with a reader, such as the one from ``output_reader``.

    Attributes:
      parallel: Placement of arrays on devices.
      batch_size: Number of examples per batch, over all devices.
      seeds: Number of sets of parameters side by side.
    """

    def __init__(
        self,
        read: Reader,
        preprocessing: Preprocessing,
        parallel: Parallel,
        *,
        batch_size: int,
        seeds: int = 1,
    ) -> None:
        self.parallel = parallel
        self.batch_size = batch_size
        self.seeds = seeds
        chunk = make_output_chunk(read, preprocessing, axis_name=parallel.axis_name, seeds=seeds > 1)
        self._run = parallel.compile(chunk)

    def outputs(
        self,
        parameters: Parameters,
        feed: Feed,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[PyTree]:
        """Computes the outputs for every example with each set of parameters, in order.

        Args:
          parameters: Parameters on the devices.
          feed: Feed of the examples.
          progress: Callback after every chunk, called with the numbers of examples done and in total.
        """
        chunks, done = [], 0
        for chunk in self.chunks(parameters, feed):
            chunks.append(chunk)
            done += len(jax.tree.leaves(chunk)[0]) * self.batch_size
            progress(min(done, len(feed)), len(feed))
        return [
            jax.tree.map(lambda *leaves, seed=seed: self._join(leaves, seed)[: len(feed)], *chunks)
            for seed in range(self.seeds)
        ]

    def chunks(self, parameters: Parameters, feed: Feed, at_once: int = 1) -> Iterator[PyTree]:
        """Yields the outputs chunk by chunk, [steps, B, ...] or [steps, S, B, ...].

        Args:
          parameters: Parameters on the devices.
          feed: Feed of the examples.
          at_once: Number of chunks computed concurrently, one thread each; 1 uses no extra thread.
        """

        def read(batches: Batches, count: int) -> PyTree:
            outputs = self.parallel.local(self._run(parameters, feed.data, batches, count))
            return jax.tree.map(lambda leaf: np.asarray(leaf[:count]), outputs)

        chunks = feed.chunks(evaluation_indices(len(feed), self.batch_size))
        if at_once == 1:
            yield from starmap(read, chunks)
            return
        running: deque[Future[PyTree]] = deque()
        with ThreadPoolExecutor(at_once) as pool:
            for batches, count in chunks:
                running.append(pool.submit(read, batches, count))
                if len(running) > at_once:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()

    def _join(self, chunks: Sequence[NDArray], seed: int) -> NDArray:
        """Returns one seed's outputs [N, ...] from chunks [steps, B, ...] or [steps, S, B, ...]."""
        steps = np.concatenate(chunks)
        mine = steps[:, seed] if self.seeds > 1 else steps
        return mine.reshape(-1, *mine.shape[2:])
