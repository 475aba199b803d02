import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent import images
from edge_agent.errors import ImageError, NotFoundError


def png(width: int = 8, height: int = 6) -> bytes:
    ok, data = cv2.imencode(".png", np.full((height, width, 3), 90, np.uint8))
    assert ok
    return data.tobytes()


def test_an_image_is_decoded_to_bgr() -> None:
    assert images.decode(png(8, 6), "x").shape == (6, 8, 3)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\xff\xd8\xff", png()[:40]])
def test_what_is_no_whole_image_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(ImageError, match="photo-7"):
        images.decode(data, "photo-7")


def test_a_decompression_bomb_is_refused_before_memory_is_taken() -> None:
    header = png()
    bomb = header[:16] + (60_000).to_bytes(4, "big") * 2 + header[24:]  # IHDR says 60,000 x 60,000
    with pytest.raises(ImageError):
        images.decode(bomb, "bomb.png")


def test_a_picture_of_too_many_pixels_names_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    cv2.imwrite(str(path), np.zeros((8_100, 8_100), np.uint8))
    # A process of its own: the limit is read when OpenCV's library loads, and here it was loaded before the agent
    code = f"from pathlib import Path; from edge_agent import images; images.read(Path({str(path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImageError" in done.stderr
    assert "64 megapixels" in done.stderr


def test_files_that_are_absent_or_folders_say_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is not there"):
        images.read(tmp_path / "absent.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        images.read(tmp_path)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 60))
def test_any_bytes_give_a_picture_or_an_image_error(noise: bytes, keep: int) -> None:
    try:
        assert images.decode(png()[:keep] + noise, "x").dtype == np.uint8
    except ImageError as error:
        assert "x " in str(error)  # noqa: PT017
