import importlib.util
import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from laya_jax.data import image_kinds, pictures
from laya_jax.data.budget import Budget
from laya_jax.data.orientation import orientation_in
from laya_jax.data.pictures import describe, read_pixels

GREYS = np.array([[0x1234, 0xFF00, 0], [0x00FF, 0x8080, 0xFFFF]], np.uint16)


def pixels(path, size=None, channels=3, background="white"):
    return read_pixels(describe(path), size, channels, background)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(colour, depth, width, rows, *before, after=()):
    """A PNG made by hand, with chunks before and after its pixels."""
    head = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = (chunk(b"IHDR", head), *before, chunk(b"IDAT", data), *after, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def photo():
    """An image of 24 x 16 pixels of which no turn is another one."""
    image = Image.new("RGB", (24, 16), (255, 0, 0))
    image.paste((0, 255, 0), (0, 0, 12, 8))
    image.paste((0, 0, 255), (12, 8, 24, 16))
    return image


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_read_upright(tmp_path, photo, suffix, orientation):
    path = tmp_path / f"x.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    with Image.open(path) as image:
        expected = ImageOps.exif_transpose(image.copy() if suffix != "tif" else image)
    found = describe(path)
    assert found.size == ((16, 24) if orientation > 4 else (24, 16))
    assert (pictures.UPRIGHT in found.traits) == (orientation > 1 and suffix != "tif")
    np.testing.assert_array_equal(pixels(path), np.asarray(expected))
    np.testing.assert_array_equal(
        pixels(path, 8), np.asarray(ImageOps.fit(expected, (8, 8), Image.Resampling.BICUBIC))
    )


def exif_of(orientation, order="<", kind=3):
    value = struct.pack(f"{order}HH", orientation, 0) if kind == 3 else struct.pack(f"{order}L", orientation)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}LH", 8, 1) + struct.pack(f"{order}HHL", 0x0112, kind, 1) + value


def test_the_orientation_of_a_png_may_follow_its_pixels(tmp_path):
    rows = [bytes(range(9)), bytes(range(9, 18))]
    late = chunk(b"eXIf", exif_of(6))
    text = chunk(
        b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n 26\n" + exif_of(6).hex().encode())
    )
    for name, content in {
        "late.png": png(2, 8, 3, rows, after=[late]),
        "early.png": png(2, 8, 3, rows, late),
        "text.png": png(2, 8, 3, rows, text),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert describe(tmp_path / name).size == (2, 3)
        expected = np.rot90(np.arange(18).reshape(2, 3, 3), -1)
        np.testing.assert_array_equal(pixels(tmp_path / name), expected)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [3, 4])
def test_exif_of_either_order_is_read_and_damaged_exif_turns_nothing(order, kind):
    exif = exif_of(8, order, kind)
    assert orientation_in(exif) == orientation_in(b"Exif\0\0" + exif) == 8
    assert [orientation_in(exif[:length]) for length in range(len(exif) - 4)] == [1] * (len(exif) - 4)
    assert orientation_in(exif_of(9, order, kind)) == orientation_in(exif_of(0, order, kind)) == 1
    assert orientation_in(exif.replace(b"II*", b"XX*").replace(b"MM\0", b"XX\0")) == 1


def test_exif_whose_entries_are_all_as_long_as_the_whole_is_not_read(tmp_path):
    entries = b"".join(struct.pack("<HHLL", 40_000 + number, 1, 60_000, 8) for number in range(5000))
    exif = b"II*\0" + struct.pack("<LH", 8, 5001) + entries + struct.pack("<HHLHH", 0x0112, 3, 1, 3, 0)
    (tmp_path / "x.png").write_bytes(png(0, 8, 2, [b"\1\2"], chunk(b"eXIf", exif)))
    assert pixels(tmp_path / "x.png", channels=1).reshape(-1).tolist() == [
        2,
        1,
    ]  # warnings would be errors here


def transparent(mode):
    """A file with a black pixel that is transparent beside a black one that is not."""
    file = io.BytesIO()
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    if mode == "P":
        image = Image.new("P", (2, 1), 1)
        image.putpalette([0] * 6)
        image.putpixel((0, 0), 0)
        image.save(file, "PNG", transparency=0)
    elif mode == "P with alpha":
        image = image.quantize(4)
        image.save(file, "PNG")
    elif mode == "GIF":
        image.save(file, "GIF")
    else:
        image.convert(mode).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        *(pytest.param(transparent(mode), id=mode) for mode in ("RGBA", "LA", "P", "P with alpha", "GIF")),
        pytest.param(png(0, 8, 2, [b"\1\0"], chunk(b"tRNS", b"\0\1")), id="L with tRNS"),
        pytest.param(png(2, 8, 2, [b"\1\1\1\0\0\0"], chunk(b"tRNS", b"\0\1\0\1\0\1")), id="RGB with tRNS"),
        pytest.param(png(0, 16, 2, [b"\0\1\0\0"], chunk(b"tRNS", b"\0\1")), id="16-bit L with tRNS"),
        pytest.param(png(4, 16, 2, [b"\0\1\0\0\0\0\xff\xff"]), id="16-bit LA"),
        pytest.param(png(6, 16, 2, [b"\0" * 14 + b"\xff\xff"]), id="16-bit RGBA"),
    ],
)
def test_transparent_pixels_show_the_background(tmp_path, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    assert pictures.TRANSPARENT in describe(path).traits
    assert pixels(path).tolist() == [[[255, 255, 255], [0, 0, 0]]]
    assert pixels(path, background="#0a141e").tolist() == [[[10, 20, 30], [0, 0, 0]]]
    assert pixels(path, background="black").tolist() == [[[0, 0, 0], [0, 0, 0]]]
    assert pixels(path, channels=1).tolist() == [[[255], [0]]]


def test_half_transparent_pixels_are_mixed_with_the_background(tmp_path):
    Image.new("RGBA", (1, 1), (200, 100, 0, 51)).save(tmp_path / "x.png")
    assert pixels(tmp_path / "x.png", background="black").tolist() == [[[40, 20, 0]]]
    assert pixels(tmp_path / "x.png").tolist() == [[[244, 224, 204]]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB", "L", "1", "CMYK", "LAB", "YCbCr"])
def test_opaque_images_of_8_bits_have_no_traits(tmp_path, mode):
    image = Image.new("RGBA", (2, 2), (10, 20, 30, 255))
    image = image.convert("RGB").convert(mode) if mode not in ("RGBA", "LA") else image.convert(mode)
    image.save(tmp_path / "x.tif")
    assert describe(tmp_path / "x.tif").traits == ()
    np.testing.assert_array_equal(pixels(tmp_path / "x.tif"), np.asarray(image.convert("RGB")))


def test_an_opaque_palette_with_an_alpha_channel_is_read_without_a_warning(tmp_path):
    content = png(3, 8, 2, [b"\0\1"], chunk(b"PLTE", bytes(range(6))), chunk(b"tRNS", b"\xff\xff"))
    (tmp_path / "x.png").write_bytes(content)
    assert describe(tmp_path / "x.png").traits == ()
    assert pixels(tmp_path / "x.png").tolist() == [[[0, 1, 2], [3, 4, 5]]]


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.jp2", "x.pgm", "big-endian.tif"])
def test_of_16_bits_the_upper_8_are_read(tmp_path, name):
    path = tmp_path / name
    if name == "x.pgm":
        path.write_bytes(b"P5 3 2 65535\n" + GREYS.astype(">u2").tobytes())
    elif name == "big-endian.tif":
        image = Image.frombytes("I;16B", (3, 2), GREYS.astype(">u2").tobytes())
        image.save(path)
    else:
        Image.fromarray(GREYS).save(path)
    found = describe(path)
    assert (found.is_grey, found.traits) == (True, (pictures.DEEP_GREY,))
    np.testing.assert_array_equal(pixels(path, channels=1)[..., 0], GREYS >> 8)
    np.testing.assert_array_equal(pixels(path), np.repeat((GREYS >> 8)[..., None], 3, axis=2))


def test_16_bit_colours_are_read_by_the_same_rule(tmp_path):
    (tmp_path / "x.png").write_bytes(png(2, 16, 1, [struct.pack(">3H", 0x1234, 0xFF00, 0x00FF)]))
    assert describe(tmp_path / "x.png").traits == (pictures.DEEP_COLOUR,)
    assert pixels(tmp_path / "x.png").tolist() == [[[0x12, 0xFF, 0]]]


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_numbers_without_a_range_are_refused(tmp_path, kind):
    Image.fromarray(np.ones((2, 2), kind)).save(tmp_path / "x.tif")
    with pytest.raises(
        ValueError, match=r"x\.tif has pixels of mode [IF], .* expected 8 or 16 bits .*npz:FILE"
    ):
        describe(tmp_path / "x.tif")


@pytest.mark.parametrize(
    "name", ["x.jfif", "x.jp2", "x.avif", "x.ico", "x.tga", "x.bmp", "x.psd", "x.sgi", "x.dds"]
)
def test_kinds_that_pillow_opens_are_read(tmp_path, photo, name):
    path = tmp_path / name
    if name == "x.psd":
        planes = np.moveaxis(np.asarray(photo), 2, 0).tobytes()
        path.write_bytes(b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 16, 24, 8, 3) + bytes(14) + planes)
    else:
        kwargs = {"format": "JPEG"} if name == "x.jfif" else {"sizes": [(24, 16)]} if name == "x.ico" else {}
        photo.save(path, **kwargs)
    assert np.abs(pixels(path).astype(int) - np.asarray(photo)).mean() < 30


@pytest.mark.parametrize("name", ["x", "x.txt", "x.JPG", "x.png.bak"])
def test_images_are_known_by_their_content(tmp_path, photo, name):
    photo.save(tmp_path / name, "PNG")
    np.testing.assert_array_equal(pixels(tmp_path / name), np.asarray(photo))


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="needs pillow-heif")
def test_images_of_telephones_are_read_upright(tmp_path, photo):
    describe(Path(__file__))  # from then on, Pillow writes them
    stored = photo.resize((64, 48), Image.Resampling.NEAREST)
    stored.info["exif"] = b"Exif\0\0" + exif_of(6)
    stored.save(tmp_path / "x.heic", quality=-1)
    assert describe(tmp_path / "x.heic").size == (48, 64)
    expected = np.asarray(stored.transpose(Image.Transpose.ROTATE_270)).astype(int)
    assert np.abs(pixels(tmp_path / "x.heic") - expected).mean() < 8
    (tmp_path / "x.heic").write_bytes((tmp_path / "x.heic").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"x\.heic cannot be read as an image"):
        describe(tmp_path / "x.heic")


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="needs pillow-heif")
def test_images_of_telephones_without_metadata_are_read(tmp_path, photo):
    describe(Path(__file__))  # from then on, Pillow writes them
    photo.resize((64, 48)).save(tmp_path / "x.heic")
    assert describe(tmp_path / "x.heic").size == (64, 48)


@pytest.mark.parametrize(
    "content", [b"", b"<html>no image</html>", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP"]
)
def test_what_has_to_be_an_image_is_refused_and_the_rest_is_no_image(tmp_path, content):
    for name in ("x.png", "x.jpeg", "x.ICO", "x.webp"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="cannot be read as an image"):
            describe(tmp_path / name)
    for name in ("x", "x.csv", "x.bak"):
        (tmp_path / name).write_bytes(content)
        assert describe(tmp_path / name) is None


def test_what_is_no_file_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "folder.png").mkdir()
    assert [describe(path) for path in sorted(tmp_path.iterdir())] == [None] * 4


def test_raw_photographs_are_no_images(tmp_path, photo):
    photo.save(tmp_path / "preview.DNG", "TIFF")
    assert describe(tmp_path / "preview.DNG") is None


def test_documents_that_another_program_would_have_to_draw_are_no_images(tmp_path, photo):
    photo.save(tmp_path / "x.eps")
    assert describe(tmp_path / "x.eps") is None


def test_the_first_frame_is_read(tmp_path, photo):
    other = ImageOps.invert(photo)
    for name, options in {"x.gif": {}, "x.webp": {"lossless": True}, "x.tif": {}, "x.png": {}}.items():
        photo.save(tmp_path / name, save_all=True, append_images=[other], **options)
        assert pictures.FRAMES in describe(tmp_path / name).traits
        np.testing.assert_array_equal(pixels(tmp_path / name), np.asarray(photo))


@pytest.mark.parametrize("shape", [(1, 1), (2, 4000), (4000, 1)])
def test_images_of_any_shape_are_resized(tmp_path, shape):
    Image.new("RGB", shape, (10, 20, 30)).save(tmp_path / "x.PNG")
    assert (pixels(tmp_path / "x.PNG", 32) == (10, 20, 30)).all()


@pytest.mark.parametrize("damage", ["truncated", "replaced"])
def test_a_file_that_is_damaged_later_is_named(tmp_path, photo, damage):
    path = tmp_path / "x.png"
    Image.effect_noise((64, 64), 50).save(path)
    found = describe(path)
    path.write_bytes(path.read_bytes()[:500] if damage == "truncated" else b"no image")
    with pytest.raises(ValueError, match=r"x\.png cannot be read as an image"):
        read_pixels(found, None, 3, "white")


def test_large_jpegs_are_decoded_at_a_fraction_of_their_size(tmp_path, photo, monkeypatch):
    photo.resize((1200, 900)).save(tmp_path / "x.jpg", quality=95)
    whole = pixels(tmp_path / "x.jpg", 64)
    monkeypatch.setattr(pictures, "PILLOWS_LIMIT", 1_000_000)
    assert describe(tmp_path / "x.jpg").traits == (pictures.LARGE,)
    difference = np.abs(pixels(tmp_path / "x.jpg", 64).astype(int) - whole)
    assert 0 < difference.mean() < 2
    assert pixels(tmp_path / "x.jpg").shape == (900, 1200, 3)


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp", "x.gif", "x.tif"])
def test_too_many_pixels_are_refused_by_the_header(tmp_path, name, monkeypatch):
    Image.new("RGB", (300, 200)).save(tmp_path / name)
    monkeypatch.setattr(image_kinds, "LARGEST_MEMORY", 59_999 * 8)
    with pytest.raises(
        ValueError, match=rf"{name} has 300 x 200 pixels, expected at most .* shrink it first"
    ):
        describe(tmp_path / name)


def test_too_large_files_are_refused_unless_they_are_no_images(tmp_path):
    for name, head in {"x.png": b"\x89PNG\r\n\x1a\n", "film.mov": b"\0\0\0\x14ftypqt  "}.items():
        with (tmp_path / name).open("wb") as file:
            file.write(head)
            file.truncate(2**33)  # without taking room on the disk
    with pytest.raises(ValueError, match=r"x\.png has 8,589,934,592 bytes, expected at most 1,073,741,824"):
        describe(tmp_path / "x.png")
    assert describe(tmp_path / "film.mov") is None


SCRIPT = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from laya_jax.data.pictures import describe, read_pixels

def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024

def attempt(path):
    try:
        return read_pixels(describe(path), 8, 3, "white").shape
    except ValueError as error:
        return "shrink it first" in str(error)

paths = sorted(Path(sys.argv[1]).iterdir())
attempt(Path(sys.argv[2]))
before = peak()
with ThreadPoolExecutor(8) as threads:
    print(list(threads.map(attempt, paths)), peak() - before)
"""


def solid(size):
    """A PNG of one colour, in a few kilobytes."""
    compress = zlib.compressobj()
    rows = bytes(1 + size // 8) * 100
    data = b"".join(compress.compress(rows) for _ in range(size // 100)) + compress.flush()
    head = struct.pack(">IIBBBBB", size, size, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_many_large_images_at_once_take_little_memory(tmp_path):
    (tmp_path / "large").mkdir()
    for size, times in ((13_000, 6), (6000, 4)):
        content = solid(size)
        for number in range(times):
            (tmp_path / "large" / f"{size}-{number}.png").write_bytes(content)
    Image.new("RGB", (9, 9)).save(tmp_path / "small.png")
    command = [sys.executable, "-c", SCRIPT, tmp_path / "large", tmp_path / "small.png"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found, megabytes = output.rsplit(" ", 1)
    assert found == str([True] * 6 + [(8, 8, 3)] * 4)
    assert int(megabytes) < 400


def test_a_budget_makes_threads_wait_and_gives_everything_to_one_that_needs_more():
    budget, most, entered = Budget(100), [], threading.Event()

    def take(amount):
        with budget.holding(amount):
            most.append(100 - budget.free)

    with budget.holding(30):
        large = threading.Thread(target=take, args=(1000,))
        large.start()
        take(70)
        assert not entered.wait(0.05)
        assert most == [100]
    large.join()
    assert most == [100, 100]
    assert budget.free == 100
