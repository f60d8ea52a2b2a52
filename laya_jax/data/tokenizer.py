"""Texts as the numbers of a pretrained model's tokens."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray


class Tokenizer:
    """The tokenizer that a pretrained model came with, in the format of Hugging Face's ``tokenizers``.

    Texts are cut to the length that is asked for, the special tokens around them counted; a text without a
    word is its special tokens alone. They are read as they are, HTML included.

    Attributes:
      content: of ``tokenizer.json``.
    """

    FILE: ClassVar[str] = "tokenizer.json"

    def __init__(self, content: str) -> None:
        # Texts of other models need no tokenizers.
        from tokenizers import Tokenizer as Reader

        self.content = content
        try:
            self._reader: Any = Reader.from_str(content)
        except Exception as error:  # tokenizers raises nothing more special
            raise ValueError(f"tokenizer is no tokenizer.json that can be read: {error}") from error
        padding = self._reader.padding or {"pad_id": self._reader.token_to_id("[PAD]")}
        if padding["pad_id"] != 0:
            raise ValueError(f"tokenizer pads with token {padding['pad_id']}, expected 0")

    @property
    def size(self) -> int:
        """Numbers there are, padding included."""
        size: int = self._reader.get_vocab_size()
        return size

    @property
    def unknown(self) -> int:
        """Number of what stands for any other word."""
        number: int | None = self._reader.token_to_id("[UNK]")
        return 1 if number is None else number

    def encode(
        self, texts: Sequence[str], max_length: int, keep: Literal["start", "end"]
    ) -> NDArray[np.int32]:
        """Texts as numbers, [N, max_length], filled up with 0 on the right."""
        special = self._reader.num_special_tokens_to_add(is_pair=False)
        if max_length <= special:
            raise ValueError(
                f"data.max_length is {max_length}, expected more than {special}, the special tokens"
            )
        self._reader.enable_truncation(max_length, direction="right" if keep == "start" else "left")
        self._reader.no_padding()
        encoded = np.zeros((len(texts), max_length), np.int32)
        for row, encoding in zip(encoded, self._reader.encode_batch(list(texts)), strict=True):
            row[: len(encoding.ids)] = encoding.ids
        return encoded

    def decode(self, numbers: NDArray) -> str:
        """A text as it is shown, [T]; special tokens are left out."""
        text: str = self._reader.decode(numbers.tolist())
        return text

    def to_text(self) -> str:
        """The content of ``tokenizer.json``."""
        return self.content

    @classmethod
    def from_text(cls, text: str) -> "Tokenizer":
        """That of which ``to_text`` made this."""
        return cls(text)
