import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from laya_jax.data import Examples
from laya_jax.data.batches import batch_indices, evaluation_indices, steps_per_epoch, stream
from laya_jax.data.images import ImageFiles
from laya_jax.data.pictures import describe

sizes = st.tuples(st.integers(1, 60), st.integers(1, 20)).filter(lambda sizes: sizes[1] <= sizes[0])


@given(sizes, st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_an_epoch_holds_every_example_once(sizes, seed, epoch):
    examples, batch_size = sizes
    steps = steps_per_epoch(examples, batch_size)
    batches = batch_indices(examples, batch_size, seed, epoch * steps, steps)
    assert batches.shape == (steps, batch_size)
    flat = batches.reshape(-1)
    assert sorted(flat[flat >= 0]) == list(range(examples))
    assert (flat[:examples] >= 0).all()  # only the end is filled up


@given(sizes, st.integers(0, 100), st.integers(0, 40), st.integers(1, 40))
@settings(deadline=None)
def test_batches_do_not_depend_on_where_one_begins(sizes, seed, first, steps):
    whole = batch_indices(*sizes, seed, 0, first + steps)
    assert np.array_equal(batch_indices(*sizes, seed, first, steps), whole[first:])


def test_epochs_and_seeds_differ():
    first, second, other = (
        batch_indices(100, 10, seed, step, 10) for seed, step in ((0, 0), (0, 10), (1, 0))
    )
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


@given(sizes)
def test_evaluation_takes_every_example_once_in_order(sizes):
    flat = evaluation_indices(*sizes).reshape(-1)
    assert list(flat[: sizes[0]]) == list(range(sizes[0]))
    assert (flat[sizes[0] :] == -1).all()


def test_a_stream_is_what_indexing_gives_in_order():
    generator = np.random.default_rng(0)
    examples = Examples(generator.integers(0, 256, (50, 4), np.uint8), np.arange(50, dtype=np.int32))
    indices = batch_indices(50, 8, 3, 0, 20)
    streamed = list(stream(examples, indices))
    assert len(streamed) == 20
    for rows, (inputs, labels, weights) in zip(indices, streamed, strict=True):
        there = rows >= 0
        assert np.array_equal(weights, there.astype(np.float32))
        assert np.array_equal(inputs[there], examples.inputs[rows[there]])
        assert np.array_equal(labels[there], rows[there])


def test_a_stream_reads_ahead_while_nobody_asks():
    class Counting:
        read = 0

        def __getitem__(self, rows):
            self.read += 1
            return np.zeros((len(rows), 2), np.float32)

    inputs = Counting()
    streamed = stream(Examples(inputs, np.zeros(100, np.int32)), batch_indices(100, 2, 0, 0, 50), ahead=30)
    next(streamed)
    patience = time.monotonic() + 60
    while inputs.read < 30:
        assert time.monotonic() < patience
        time.sleep(0.01)


def test_what_cannot_be_read_in_a_thread_is_raised_where_it_is_asked_for(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "broken.png")
    files = ImageFiles([describe(tmp_path / "broken.png")], (2, 2, 3), resize=False)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"broken\.png cannot be read as an image"):
        list(stream(Examples(files, np.zeros(1, np.int32)), np.zeros((1, 1), np.int32)))
