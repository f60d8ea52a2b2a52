"""Memory budget shared by threads, so that decoding many large images at once does not exhaust memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """Memory budget shared by threads: a thread waits until the amount it requests is free.

    >>> budget = Budget(100)
    >>> with budget.holding(60):
    ...     budget.free
    40

    Attributes:
      total: Number of bytes.
      free: Number of bytes that no thread holds.
    """

    def __init__(self, total: int) -> None:
        self.total = self.free = total
        self._changed = threading.Condition()

    @contextmanager
    def holding(self, amount: int) -> Iterator[None]:
        """Reserves a number of bytes for the duration of the block, at most the total."""
        amount = min(amount, self.total)
        with self._changed:
            self._changed.wait_for(lambda: self.free >= amount)
            self.free -= amount
        try:
            yield
        finally:
            with self._changed:
                self.free += amount
                self._changed.notify_all()


MEMORY = Budget(2**29)
"""Memory budget for files and decoded images, over all threads; an image that exceeds it is decoded alone."""
