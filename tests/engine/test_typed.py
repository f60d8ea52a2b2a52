"""What comes out of JSON has the types that the code expects, or is told by its name."""

import dataclasses
import math
from typing import Any, Literal

import pytest

from laya_jax.engine.typed import from_json, read_record


@dataclasses.dataclass(frozen=True)
class Inner:
    share: float = 0.5


@dataclasses.dataclass(frozen=True)
class Outer:
    number: int
    flag: bool = False
    name: str | None = None
    kind: Literal["a", "b"] | None = "a"
    sizes: tuple[int, ...] = ()
    pair: tuple[int, int] = (0, 0)
    names: list[str] = dataclasses.field(default_factory=list)
    inner: Inner = Inner()
    maybe: Inner | None = None
    by_name: dict[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    anything: Any = None


def test_values_come_back_in_their_types():
    values = {
        **{"number": 3, "flag": True, "name": "x", "kind": "b", "sizes": [1, 2], "pair": [3, 4]},
        **{"names": ["a"], "inner": {"share": 1}, "maybe": {"share": 0.25}, "by_name": {"a": [1, 0.5]}},
        "anything": [{}],
    }
    read = from_json(Outer, values)
    assert read == Outer(
        *(3, True, "x", "b", (1, 2), (3, 4), ["a"], Inner(1.0), Inner(0.25), {"a": (1.0, 0.5)}, [{}])
    )
    assert type(read.inner.share) is float
    assert from_json(Outer, {"number": 3, "kind": None, "maybe": None}) == Outer(3, kind=None)
    assert from_json(Outer, dataclasses.asdict(read)) == read


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "number is missing"),
        ([], r"content is \[\], expected an object"),
        ({"number": True}, "number is True, expected a whole number"),
        ({"number": 1.0}, "number is 1.0, expected a whole number"),
        ({"number": 2**63}, "number is 9223372036854775808, expected a whole number"),
        ({"number": math.inf}, "number is inf, expected a whole number"),
        ({"number": "1"}, "number is '1', expected a whole number"),
        ({"number": 1, "flag": 1}, "flag is 1, expected true or false"),
        ({"number": 1, "name": 1}, "name is 1, expected a text or null"),
        ({"number": 1, "kind": "c"}, "kind is 'c', expected one of 'a', 'b' or null"),
        ({"number": 1, "kind": []}, r"kind is \[\], expected one of 'a', 'b' or null"),
        ({"number": 1, "sizes": 5}, "sizes is 5, expected a list of items, each a whole number"),
        ({"number": 1, "sizes": "12"}, "sizes is '12', expected a list"),
        ({"number": 1, "pair": [1]}, r"pair is \[1\], expected a list of 2 items, each a whole number"),
        ({"number": 1, "inner": {"share": "x"}}, "inner.share is 'x', expected a number"),
        ({"number": 1, "inner": {"shares": 1}}, "inner.shares is a field that this version does not know"),
        ({"number": 1, "inner": None}, "inner is None, expected an object"),
        ({"number": 1, "maybe": 3}, "maybe is 3, expected an object"),
        (
            {"number": 1, "by_name": {"a": [None]}},
            r"by_name.a is \[None\], expected a list of items, each a num",
        ),
        ({"number": 1, "by_name": []}, r"by_name is \[\], expected an object"),
        ({"number": 1, "name": ["x" * 5000]}, r"name is \['x{58} \.\.\., expected a text or null"),
    ],
)
def test_every_invalid_value_is_reported_by_name(values, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        from_json(Outer, values)


def test_errors_name_the_file(tmp_path):
    (tmp_path / "a.json").write_text('{"number": null}')
    with pytest.raises(ValueError, match=r"a\.json: number is None, expected a whole number"):
        read_record(Outer, tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"number": ' + "9" * 5000 + "}")
    with pytest.raises(ValueError, match=r"a\.json cannot be read as JSON: Exceeds the limit"):
        read_record(Outer, tmp_path / "a.json")
