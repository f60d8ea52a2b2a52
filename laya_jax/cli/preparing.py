"""Command that downloads and writes a named data set: ``laya prepare``."""

import difflib
import os
from collections.abc import Callable, Sequence

from laya_jax.cli.arguments import Prepare
from laya_jax.cli.console import Console
from laya_jax.cli.parsing import parse
from laya_jax.cli.starting import started
from laya_jax.data import DataConfig, find_builder, kind_of, megabytes, original_files, prepare
from laya_jax.training import EXPERIMENTS

NAMES = {
    name: config.data.source for name, config in EXPERIMENTS.items() if kind_of(config.data.source) == "tfds"
}
"""Sources of the data sets that can be prepared, by the names of their experiments."""


def prepare_command(arguments: Sequence[str]) -> None:
    """Prepares a data set and says where it is."""
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        raise ValueError(f"name is missing, expected one of {', '.join(map(repr, NAMES))} before the options")
    asked = parse(Prepare, arguments, program="laya prepare")
    source, directory, counts, made = source_named(asked.name), None, None, False
    with started(asked.output) as console:
        if kind_of(source) == "tfds":
            made = ensure_prepared(
                DataConfig(source=source, directory=asked.directory), console, asked.mirror
            )
            builder = find_builder(source, asked.directory)
            directory = builder.data_dir
            counts = {name: split.num_examples for name, split in builder.info.splits.items()}
            shown = ", ".join(f"{name} {number:,}" for name, number in counts.items())
            console.tell(f"{asked.name} is {'now' if made else 'already'} in {directory}: {shown}")
        else:
            console.tell(f"{asked.name} comes with scikit-learn: there is nothing to prepare")
        console.print_json(
            {
                "name": asked.name,
                "source": source,
                "directory": directory,
                "examples": counts,
                "prepared": made,
            }
        )


def source_named(name: str) -> str:
    """Finds a data set by its name or by that of its experiment.

    >>> source_named("fashion-mnist"), source_named("imdb_reviews")
    ('fashion_mnist', 'imdb_reviews')

    Raises:
      ValueError: There is no such data set.
    """
    if name in ("digits", *NAMES.values()):
        return name
    if name not in NAMES:
        near = difflib.get_close_matches(name, [*NAMES, *NAMES.values()], n=1)
        raise ValueError(
            f"name is {name!r}"
            + (f" (did you mean {near[0]!r}?)" if near else "")
            + f", expected one of {', '.join(map(repr, NAMES))}"
        )
    return NAMES[name]


def ensure_prepared(data: DataConfig, console: Console, mirror: str | None = None) -> bool:
    """Prepares a named data set if its files are missing, and shows the progress.

    Args:
      data: Data set; nothing is done for sources other than tensorflow-datasets.
      console: Console for the progress.
      mirror: URL of a directory with the original files; None means ``$LAYA_MIRROR``, or else their own
        servers.

    Returns:
      True if the data set was prepared now.
    """
    if kind_of(data.source) != "tfds":
        return False
    # Imported here because other sources do not need tensorflow-datasets.
    import tensorflow_datasets as tfds

    builder = find_builder(data.source, data.directory)
    if builder.is_prepared():
        return False
    files = original_files(data.source)
    console.say(f"{data.source} is not in {builder.data_dir}: downloading {megabytes(files):,} MB")
    tfds.disable_progress_bar()
    prepare(
        data.source,
        data.directory,
        mirror=mirror or os.environ.get("LAYA_MIRROR"),
        moved=console.preparing,
    )
    return True


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {"prepare": prepare_command}
