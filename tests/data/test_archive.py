import io
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from laya_jax.data import DataConfig, load
from laya_jax.data.archive import array_names, read_npz

LABELS = np.arange(60) % 3
FEATURES = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(shape, descr="<f4", content=b"", version=(1, 0)):
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}}}".encode()
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + content


def write(path, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def refused(path, message):
    with pytest.raises(ValueError, match=message) as error:
        load(DataConfig(source=f"npz:{path}"))
    assert str(error.value).startswith(f"{path} cannot be read as .npz: ")
    assert "\n" not in str(error.value)


def outcome(path):
    try:
        return load(DataConfig(source=f"npz:{path}"))
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("content", [b"", b"PK", b"no archive at all"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    refused(tmp_path / "x.npz", "not a zip file")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*y\.npz"):
        load(DataConfig(source=f"npz:{tmp_path / 'y.npz'}"))
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load(DataConfig(source=f"npz:{tmp_path}"))


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_a_single_array_is_told_from_an_archive(tmp_path, name):
    (tmp_path / name).write_bytes(npy(FEATURES))
    refused(tmp_path / name, r"it is a single array \(\.npy\), expected numpy\.savez\(FILE, inputs=")


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (header((2**45, 2)), r"inputs\.npy has a header for shape \(35184372088832, 2\) .* but 0 bytes"),
        (header((60, 4), content=bytes(100)), r"header for shape \(60, 4\) and float32, but 100 bytes"),
        (header((-60, -4), content=bytes(960)), "header for shape"),
        (header((2**62, 0)), "."),
        (header((2**62,), "|S0"), "header for shape"),
        (header((60, 4), version=(3, 0)), r"has format version \(3, 0\)"),
        (header((60, 4), version=(9, 9)), "version"),
        (header("(" * 3000), "."),
        (header((60, 4), "|O", bytes(960)), "holds Python objects, which are never unpickled"),
        (b"\x93NUMPY", "."),
        (b"", "."),
        (b"no array", "magic"),
        (header((60, 4), "<nonsense", bytes(960)), "descr"),
    ],
)
def test_a_member_that_is_no_array_as_it_says_is_refused(tmp_path, member, message):
    path = write(tmp_path / "x.npz", inputs__npy=member, labels__npy=npy(LABELS))
    refused(path, message)


def test_members_that_cannot_be_read_are_refused(tmp_path):
    path = write(tmp_path / "x.npz", zipfile.ZIP_DEFLATED, inputs__npy=npy(FEATURES), labels__npy=npy(LABELS))
    whole = path.read_bytes()
    entry = whole.index(b"PK\1\2")
    for offset, value, message in ((8, 1, "is encrypted"), (10, 99, "compression")):
        damaged = bytearray(whole)
        damaged[entry + offset] = value
        path.write_bytes(damaged)
        refused(path, message)
    damaged = bytearray(whole)
    damaged[60:64] = b"\xff\xff\xff\xff"
    path.write_bytes(damaged)
    refused(path, ".")
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "not a zip file")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for array in (FEATURES, FEATURES + 1):
            archive.writestr("inputs.npy", npy(array))
        archive.writestr("labels.npy", npy(LABELS))
    refused(path, "two of its arrays have the same name")


def test_arrays_that_a_damaged_directory_hides_are_missed(tmp_path):
    path = write(tmp_path / "x.npz", x_train__npy=npy(FEATURES), y_train__npy=npy(LABELS), x_val__npy=b"")
    damaged = bytearray(path.read_bytes())
    entry = damaged.index(b"PK\1\2", damaged.index(b"PK\1\2") + 1)
    damaged[entry + 32] = len(damaged) - 22 - damaged.index(b"PK\1\2", entry + 1)  # the length of a comment
    path.write_bytes(damaged)
    refused(path, "its directory lists 2 of 3 arrays")


def test_names_that_cannot_be_printed_are_quoted(tmp_path):
    members = {"inputs.npy": npy(FEATURES), "labels.npy": npy(LABELS), "\x1b[2J\n.npy": b""}
    path = write(tmp_path / "x.npz", **members)
    assert load(DataConfig(source=f"npz:{path}")).notes == (
        f"{path} holds arrays that are not used: '\\x1b[2J\\n'",
    )


def test_what_is_not_asked_for_does_not_keep_the_rest_from_being_read(tmp_path):
    path = write(
        tmp_path / "x.npz",
        inputs__npy=npy(FEATURES),
        labels__npy=npy(LABELS),
        objects__npy=header((2**50,), "|O", b"cpickle"),
        bomb__npy=header((2**50,)),
        readme__txt=b"hello",
    )
    (note,) = load(DataConfig(source=f"npz:{path}")).notes
    assert note == f"{path} holds arrays that are not used: objects, bomb, readme.txt"
    assert array_names(path) == ["inputs", "labels", "objects", "bomb", "readme.txt"]
    with pytest.raises(ValueError, match="cannot be read"):
        read_npz(path)


@pytest.mark.slow
def test_a_bomb_is_refused_before_it_takes_memory(tmp_path):
    size = 2**30 + 2**20
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.npy", npy(LABELS))
        with archive.open("inputs.npy", "w") as member:
            member.write(header((60, size // 60), "|u1"))
            for _ in range(size // 2**20 - 1):
                member.write(bytes(2**20))
    tracemalloc.start()
    try:
        refused(path, r"inputs\.npy unpacks to 1,07\d,\d{3},\d{3} bytes, expected at most 1,073,741,824")
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_no_damage_of_a_bit_passes_or_shows_anything_but_a_line(tmp_path):
    path = tmp_path / "x.npz"
    np.savez_compressed(path, inputs=np.round(FEATURES), labels=LABELS)
    whole, expected = path.read_bytes(), outcome(path)
    generator = np.random.default_rng(0)
    for place in generator.choice(8 * len(whole), 300, replace=False).tolist():
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        found = outcome(path)
        if isinstance(found, str):
            assert re.match(rf"{re.escape(str(path))} (cannot be read|has )[^\n]+$", found)
        else:
            assert np.array_equal(found.train.inputs, expected.train.inputs)
            assert np.array_equal(found.test.labels, expected.test.labels)
