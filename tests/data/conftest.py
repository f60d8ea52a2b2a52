"""Images that several files of tests read."""

import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    """Two classes of 20 images of 6 x 4 pixels, whose red says their number."""
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            image = Image.new("RGB", (6, 4), (number, 0, 255 * (name == "dog")))
            image.save(tmp_path / "photos" / name / f"{number:02}.png")
    return tmp_path / "photos"
