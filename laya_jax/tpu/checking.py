"""Ahead-of-time compilation of training for a TPU, and an estimate of the cost of a step."""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import jax
from jax.extend.core import Jaxpr, jaxprs_in_params
from jax.interpreters.partial_eval import dce_jaxpr

from laya_jax.cost import count_flops
from laya_jax.engine import Batch, Config, MeshParallel, TrainState
from laya_jax.tpu.chips import EXTRA, Chip, find_topology
from laya_jax.tpu.lowering import AbstractTraining, abstract_training
from laya_jax.typing import JsonObject, PyTree


class DoesNotFitError(Exception):
    """Raised when a program needs more memory than a chip has."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompileReport:
    """Cost of a training step on each chip of a TPU; prints as a table.

    Attributes:
      program: Name of the compiled program.
      topology: TPU topology that the program was compiled for.
      chips: Number of chips.
      batch_size: Number of examples per step, over all chips.
      flops: Operations of a step's matrix products and convolutions, two per multiply-add.
      bytes_moved: Bytes read and written by a step's instructions, as counted by the compiler: at any level
        of memory, although on-chip accesses cost less.
      arguments: Bytes of state, data and batches.
      outputs: Bytes of the outputs that do not alias the donated state.
      temporaries: Bytes of intermediate results.
      chip: Peaks of a chip. The bfloat16 peak also applies to float32, since by default JAX multiplies
        float32 in one bfloat16 pass.
    """

    program: str
    topology: str
    chips: int
    batch_size: int
    flops: int
    bytes_moved: int
    arguments: int
    outputs: int
    temporaries: int
    chip: Chip

    @property
    def seconds(self) -> dict[str, float]:
        """Lower bound on the seconds per step from each peak, without communication between chips."""
        return {
            "matrix products": self.flops / self.chip.flops,
            "memory bandwidth": self.bytes_moved / self.chip.bandwidth,
        }

    @property
    def limit(self) -> str:
        """Name of the peak that bounds a step."""
        return max(self.seconds, key=self.seconds.__getitem__)

    @property
    def examples_per_second(self) -> float:
        """Upper bound on the examples per second on all chips."""
        return self.batch_size / self.seconds[self.limit]

    def to_json(self) -> JsonObject:
        """Returns the report as JSON-compatible values."""
        derived = ("seconds", "limit", "examples_per_second")
        fields = {**dataclasses.asdict(self), "chip": self.chip._asdict()}
        return fields | {name: getattr(self, name) for name in derived}

    def __str__(self) -> str:
        """Formats the report as a table."""
        used, memory = self.arguments + self.outputs + self.temporaries, self.chip.memory
        compute, bandwidth = (f"{_si(time, 's')} at the peak" for time in self.seconds.values())
        rows = [
            ("matrix products", _si(self.flops, "FLOP"), f"{compute} of bfloat16"),
            ("bytes moved", _si(self.bytes_moved, "B"), bandwidth),
            ("memory", _si(used, "B"), f"{used / memory:.1%} of {_si(memory, 'B')}"),
            ("  arguments", _si(self.arguments, "B"), "state, data and batches"),
            ("  outputs", _si(self.outputs, "B"), "beside the new state"),
            ("  temporaries", _si(self.temporaries, "B"), ""),
        ]
        lines = [f"  {name:<18}{amount:>11}   {note}".rstrip() for name, amount, note in rows]
        first = f"{self.program}, on {self.topology}; per step and chip:"
        last = f"{self.examples_per_second:,.0f} examples per second at the peak of {self.limit}, all chips"
        return "\n".join([first, *lines, last])


def compile_check(config: Config, topology: str) -> CompileReport:
    """Compiles a config's training ahead of time for a TPU, without one.

    Args:
      config: Config of the training run; see ``abstract_training``.
      topology: Topology of the TPU, such as "v5e:2x4"; see ``find_topology``.

    Returns:
      A printable ``CompileReport``.

    Raises:
      DoesNotFitError: The program needs more memory than a chip has.
      ModuleNotFoundError: libtpu is not installed.
      ValueError: There is no such topology, the batch is not divisible by the number of chips, or libtpu
        cannot compile the output of this version of JAX.
    """
    chip, devices = find_topology(topology)
    if config.batch_size % len(devices):
        raise ValueError(
            f"batch_size is {config.batch_size}, expected a multiple of {len(devices)}, the number of chips "
            f"of {topology}"
        )
    training, parallel = abstract_training(config), MeshParallel(devices)
    program = (
        f"{config.data.source}, {config.backbone.kind}, {config.head.kind} head, {config.dtype}, "
        f"batch {config.batch_size}"
    )
    try:
        chunk = _compile(training.chunk, parallel, *training.arguments(parallel))
        flops, bytes_moved = _costs_of_step(training, parallel)
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).partition("\n")[0]
        if "RESOURCE_EXHAUSTED" in reason:
            sizes = re.search(r"\((\S+)\) exceeds available HBM \((\S+)\)", reason)
            reason = f"it needs {sizes[1]} of each chip's {sizes[2]}" if sizes else reason
            raise DoesNotFitError(f"{program} does not fit on {topology}: {reason}") from error
        raise ValueError(
            f"libtpu {metadata.version('libtpu')} cannot compile the output of jax {jax.__version__} "
            f"({reason}); for the matching libtpu: {EXTRA}"
        ) from error
    memory = chunk.memory_analysis()
    return CompileReport(
        program=program,
        topology=topology,
        chips=len(devices),
        batch_size=config.batch_size,
        flops=flops,
        bytes_moved=bytes_moved,
        arguments=memory.argument_size_in_bytes,
        outputs=memory.output_size_in_bytes - memory.alias_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        chip=chip,
    )


def _costs_of_step(training: AbstractTraining, parallel: MeshParallel) -> tuple[int, int]:
    """Counts the operations and the bytes moved of one step on one chip.

    XLA's cost analysis of a chunk includes its setup, and counts the body of a loop only once. Therefore a
    single step is compiled; its operations are counted in the traced program, since a recurrence would hide
    them in its loop; and the bytes that loops read and write in further iterations are added.
    """

    def step(state: TrainState, data: None, batches: Batch[jax.Array]) -> PyTree:
        return training.chunk(state, data, batches, 1)

    arguments = (training.state, None, training.batches(1, parallel))
    jaxpr = jax.make_jaxpr(step)(*arguments).jaxpr
    needed, _ = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    compiled = _compile(step, parallel, *arguments)
    chips = len(parallel.devices)
    bytes_moved = compiled.cost_analysis()["bytes accessed"] + _further_passes(needed) / chips
    return count_flops(needed) // chips, int(bytes_moved)


def _further_passes(jaxpr: Jaxpr) -> int:
    """Computes the bytes that scans read from and write to sequences after their first iteration."""
    total = 0
    for equation in jaxpr.eqns:
        bodies = [*jaxprs_in_params(equation.params)]
        if equation.primitive.name == "scan":
            (body,) = bodies
            outside, inside = [*equation.invars, *equation.outvars], [*body.invars, *body.outvars]
            # Constants and carries have the same size outside and inside, and cancel.
            total += sum(_bytes(of) - _bytes(one) for of, one in zip(outside, inside, strict=True))
        total += sum(map(_further_passes, bodies))
    return total


def _bytes(variable: Any) -> int:
    size: int = variable.aval.size * variable.aval.dtype.itemsize
    return size


def _compile(function: Callable[..., object], parallel: MeshParallel, *arguments: object) -> Any:
    with _not_kept():
        return parallel.compile(function, donate=True).lower(*arguments).compile()


@contextlib.contextmanager
def _not_kept() -> Iterator[None]:
    """Bypasses the compilation cache: executables for absent devices cannot be loaded."""
    name = "jax_persistent_cache_min_compile_time_secs"
    before = jax.config.values[name]
    jax.config.update(name, float("inf"))
    try:
        yield
    finally:
        jax.config.update(name, before)


def _si(value: float, unit: str) -> str:
    """Formats a number with an SI prefix.

    >>> _si(101_557_248, "B"), _si(1.24e-4, "s"), _si(0, "B")
    ('101.6 MB', '124.0 µs', '0.0 B')
    """
    prefixes = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1, ""), (1e-3, "m"), (1e-6, "µ"))
    factor, prefix = next((pair for pair in prefixes if value >= pair[0]), (1e-9, "n") if value else (1, ""))
    return f"{value / factor:.1f} {prefix}{unit}"
