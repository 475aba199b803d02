"""Photographs are taken out of packages, drawings and pictures with people are not; every fourth is held out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parents[2]


def jpeg(seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (200, 800, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", noise)[1])


def stored(*pictures: bytes) -> bytes:
    return b"qres" + b"".join(len(data).to_bytes(4, "big") + data for data in pictures)


def test_photographs_of_packages(tmp_path: Path) -> None:
    drawing = bytes(cv2.imencode(".png", np.full((200, 200, 3), 90, np.uint8))[1])
    resources = tmp_path / "unpacked/usr/share/gcompris-qt/rcc"
    resources.mkdir(parents=True)
    (resources / "erase.rcc").write_bytes(stored(jpeg(0), drawing, jpeg(1), jpeg(2)))
    (resources / "louis-braille.rcc").write_bytes(stored(*[drawing] * 6, jpeg(3)))  # the seventh shows a person
    (resources / "broken.rcc").write_bytes(b"\xff\xd8\xff" + stored(jpeg(4))[:-9])
    for size in ("1x1", "2x2"):
        plasma = tmp_path / "unpacked/usr/share/wallpapers/Path/contents/images" / f"{size}.jpg"
        plasma.parent.mkdir(parents=True, exist_ok=True)
        plasma.write_bytes(jpeg(5))
    words = [str(ROOT / "tools/faceless_photos.py"), str(tmp_path / "unpacked"), str(tmp_path / "out")]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "4 photographs of" in done.stdout
    found = {part: sorted(path.name for path in (tmp_path / "out" / part).iterdir()) for part in ("train", "test")}
    assert found == {"train": ["erase-000.jpg", "erase-002.jpg", "erase-003.jpg"], "test": ["Path.jpg"]}
    assert cv2.imread(str(tmp_path / "out/test/Path.jpg")).shape == (160, 640, 3)


def test_a_folder_without_packages_is_one_line(tmp_path: Path) -> None:
    words = [str(ROOT / "tools/faceless_photos.py"), str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("has no resource file and no wallpaper; unpack the packages into it")
    assert not (tmp_path / "out").exists()
