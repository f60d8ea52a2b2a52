"""Preparation of named data sets in the format of tensorflow-datasets, without TensorFlow."""

import contextlib
import errno
import gc
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from laya_jax.data.download import RemoteFile, fetch
from laya_jax.data.originals import Split, megabytes, original_files, read_originals
from laya_jax.data.prepared import find_builder
from laya_jax.files import locked, new_directory

Moved = Callable[[str, str, int, int], None]
"""Progress callback, called with the activity, its unit, the number done and the total."""

ROOM = 2.5
"""Disk space needed per downloaded byte, including the originals."""

SHOW_EVERY = 500


def prepare(
    source: str,
    directory: str | Path | None = None,
    *,
    mirror: str | None = None,
    moved: Moved = lambda what, unit, done, total: None,
) -> Path:
    """Downloads a data set and writes it where ``load`` finds it, unless it already exists.

    The examples and their order are the same as those written by tensorflow-datasets itself. The data set is
    created atomically, and an interrupted download resumes with the next call. tensorflow-datasets shows its
    own progress bars unless ``tensorflow_datasets.disable_progress_bar`` has been called.

    Args:
      source: Name of the data set: fashion_mnist, cifar10 or imdb_reviews.
      directory: Path of the directory of all data sets; None means ``$TFDS_DATA_DIR``, or else
        ``~/tensorflow_datasets``.
      mirror: URL of a directory on another server that has the original files under the same names.
      moved: Progress callback.

    Returns:
      The path of the data set's directory.

    Raises:
      ConnectionError: The originals cannot be downloaded; the message says what to do.
      ValueError: A file has an unexpected checksum.
      OSError: There is not enough disk space, or no write permission.
    """
    builder = find_builder(source, directory)
    target, root = Path(builder.data_dir), Path(builder.data_dir_root)
    if builder.is_prepared():
        return target
    if target.exists():
        raise FileExistsError(f"{target} is incomplete; delete it and run this again")
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root / f".laya-{source}.lock", source, moved):
        if find_builder(source, root).is_prepared():  # another process has prepared it in the meantime
            return target
        folder = root / "downloads" / "laya" / source
        folder.mkdir(parents=True, exist_ok=True)
        _download(original_files(source, mirror), folder, source, moved)
        for left_over in target.parent.glob(f".{target.name}-*"):  # left by a killed process
            shutil.rmtree(left_over)
        with new_directory(target) as draft:
            _write(source, folder, draft, root, moved)
    return target


@contextlib.contextmanager
def _alone(lock: Path, source: str, moved: Moved) -> Iterator[None]:
    """Holds a lock on the preparation, reporting the wait for another process that has it."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(lock, wait=False))
        except BlockingIOError:
            moved(f"waiting for another process to prepare {source}", "data set", 0, 1)
            stack.enter_context(locked(lock, wait=True))
        yield


def _download(files: list[RemoteFile], folder: Path, source: str, moved: Moved) -> None:
    _check_room(files, folder, source)
    before, total = 0, megabytes(files)
    for remote in files:

        def arrived(done: int, before: int = before) -> None:
            moved(f"downloading {source}", "MB", (before + done) // 10**6, total)

        try:
            fetch(remote, folder, arrived)
        except ConnectionError as error:
            missing = ", ".join(file.name for file in files if not (folder / file.name).exists())
            raise ConnectionError(
                f"{error}; run this again with a network connection (partial downloads are kept), name "
                f"another server (laya prepare {source} --mirror URL), or put into {folder}: {missing}"
            ) from error
        before += remote.size
    moved(f"downloading {source}", "MB", total, total)


def _check_room(files: list[RemoteFile], folder: Path, source: str) -> None:
    there = sum(file.stat().st_size for file in folder.iterdir())
    needed = int(ROOM * sum(file.size for file in files)) - there
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"preparing {source} needs {needed // 10**6:,} MB, but {free // 10**6:,} MB are free",
            os.fspath(folder),
        )


def _write(source: str, folder: Path, draft: Path, root: Path, moved: Moved) -> None:
    """Writes the data set with tensorflow-datasets' writer, and moves its files to the top of the draft."""
    builder = find_builder(source, draft)
    splits = read_originals(builder, folder)
    total = sum(split.number for split in splits.values())
    before = 0

    def counted(split: Split, before: int) -> Iterator[tuple[object, dict[str, object]]]:
        for number, example in enumerate(split.examples, before + 1):
            if not number % SHOW_EVERY or number == total:
                moved(f"writing {source}", "examples", number, total)
            yield example

    generators = {}
    for name, split in splits.items():
        generators[name] = counted(split, before)
        before += split.number
    builder._split_generators = lambda dl_manager: generators
    try:
        # It would print messages about a download that does not take place.
        with contextlib.redirect_stdout(io.StringIO()), _no_collection():
            builder.download_and_prepare(file_format="array_record")
    except RuntimeError as error:  # raised by the C++ writer if the disk is full
        raise OSError(f"{root}: {str(error).partition(';')[0]}") from error
    for made in Path(builder.data_dir).iterdir():
        made.rename(draft / made.name)
    settings = draft / source / ".config"  # only for data sets with several configurations
    if settings.exists() and not (root / source / ".config").exists():
        settings.rename(root / source / ".config")
    shutil.rmtree(draft / source)
    shutil.rmtree(draft / "downloads")


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Pauses the garbage collector, since JAX's hook on it swallows a KeyboardInterrupt raised inside."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
