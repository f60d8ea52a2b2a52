"""Memory that threads share, so that many large images at once do not fill it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Budget:
    """Memory that threads share: a thread waits until the others leave what it asks for.

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
        """Holds a number of bytes while the block runs; more than there are is all of them."""
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
"""Memory for files and decoded images, over all threads: what one image needs beyond it, it gets alone."""
