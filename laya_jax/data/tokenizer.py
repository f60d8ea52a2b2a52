"""Encoding of texts with a pretrained model's tokenizer."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from laya_jax.data.encoder import PADDING, Encoded, TextEncoder


class Tokenizer(TextEncoder):
    """Tokenizer of a pretrained model, in the format of Hugging Face's ``tokenizers``.

    Texts are truncated to the maximum length, which includes the special tokens around them; an empty text
    consists of only its special tokens. Texts are read verbatim, including HTML. The name of a special token
    in a text, such as ``[SEP]``, is encoded as that token, as usual; only padding cannot occur inside a text.

    Attributes:
      content: Content of ``tokenizer.json``.
    """

    FILE: ClassVar[str] = "tokenizer.json"
    UNIT: ClassVar[str] = "tokens"

    def __init__(self, content: str) -> None:
        # Imported here because other models do not need tokenizers.
        from tokenizers import Tokenizer as Reader

        self.content = content
        try:
            self._reader = Reader.from_str(content)
        except Exception as error:  # tokenizers raises nothing more specific
            raise ValueError(f"tokenizer is not a readable tokenizer.json: {error}") from error
        padding = self._reader.padding or {"pad_id": self._reader.token_to_id("[PAD]")}
        if padding["pad_id"] != PADDING:
            raise ValueError(f"tokenizer pads with token {padding['pad_id']}, expected 0")

    @property
    def size(self) -> int:
        """Size of the vocabulary, including padding."""
        size: int = self._reader.get_vocab_size()
        return size

    @property
    def unknown(self) -> int:
        """Token id of unknown words."""
        number: int | None = self._reader.token_to_id("[UNK]")
        return 1 if number is None else number

    def read(self, texts: Sequence[str], max_length: int, keep: Literal["start", "end"]) -> Encoded:
        """Converts texts to token ids, and counts those that are truncated, mostly unknown or empty."""
        special = self._reader.num_special_tokens_to_add(is_pair=False)
        if max_length <= special:
            raise ValueError(
                f"data.max_length is {max_length}, expected more than the number of special tokens, {special}"
            )
        self._reader.enable_truncation(max_length, direction="right" if keep == "start" else "left")
        self._reader.no_padding()
        encoded = np.zeros((len(texts), max_length), np.int32)
        encodings = self._reader.encode_batch(list(texts))
        for row, encoding in zip(encoded, encodings, strict=True):
            # A padding token in a text would be masked, hiding it from the model.
            row[: len(encoding.ids)] = [number or self.unknown for number in encoding.ids]
        words = np.array([len(encoding.ids) - special for encoding in encodings])
        mostly = 2 * (encoded == self.unknown).sum(axis=1) > words
        cut = sum(bool(encoding.overflowing) for encoding in encodings)
        return Encoded(encoded, cut, int(mostly.sum()), int((words == 0).sum()))

    def decode(self, numbers: NDArray) -> str:
        """Converts token ids, [T], back to a readable text without special tokens."""
        text: str = self._reader.decode(numbers.tolist())
        return text

    def to_text(self) -> str:
        """Returns the content of ``tokenizer.json``."""
        return self.content

    @classmethod
    def from_text(cls, text: str) -> "Tokenizer":
        """Constructs a tokenizer from the output of ``to_text``."""
        return cls(text)
