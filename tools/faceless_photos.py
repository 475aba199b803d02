"""Photographs without a face, out of GCompris' resource files and desktop wallpapers, for `train-detector --faceless`.

    apt-get download gcompris-qt-data gnome-backgrounds lomiri-wallpapers-16.04
    apt-get download mate-backgrounds plasma-workspace-wallpapers
    for package in *.deb; do dpkg-deb -x $package unpacked; done
    python tools/faceless_photos.py unpacked .cache/faceless

Animals, fish, monuments, tools, meadows: what a detector that was taught with people takes for faces. Every fourth is
held out, to measure on: .cache/faceless/train and .cache/faceless/test.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edge_agent.records import U8

# people, paintings of people and statues, by resource file and number, looked at by eye in GCompris 3.1
WITH_FACES = {
    "babyshapes": {17, 27},
    "categorization": {114, 116},
    "details": {30, 62, 81, 120},
    "explore_monuments": {29, 31, 34, 35, 42},
    "explore_world_music": {0, 1, 3, 4, 6, 9},
    "louis-braille": {6},
    "paintings": {77, 115, 179, 220},
}
_PICTURE = re.compile(rb"\xff\xd8\xff|RIFF....WEBP|\x89PNG\r\n\x1a\n", re.DOTALL)
_WALLPAPERS = {".jpg", ".jpeg", ".png", ".webp"}
_LONGER_SIDE_PX, _LEAST_SIDE_PX = 640, 150
_LEAST_COLOURS = 1200  # of 32 steps a channel; drawings have fewer


def in_resources(path: Path) -> Iterator[tuple[str, U8]]:
    """Pictures in one of Qt's resource files, each stored as four bytes of length and the file; none WITH_FACES."""
    data = path.read_bytes()
    for number, match in enumerate(_PICTURE.finditer(data)):
        start = match.start()
        length = int.from_bytes(data[max(0, start - 4) : start], "big")
        if 0 < length <= len(data) - start and number not in WITH_FACES.get(path.stem, ()):
            yield f"{path.stem}-{number:03}", np.frombuffer(data, np.uint8, length, start)


def wallpapers(folder: Path) -> Iterator[tuple[str, U8]]:
    """One picture of each wallpaper; those of Plasma come in many sizes, the first of which is taken."""
    seen = set()
    for path in sorted(folder.rglob("*")):
        plasma = path.parts[-4] if "contents" in path.parts else None
        if path.suffix.lower() in _WALLPAPERS and path.is_file() and (plasma is None or plasma not in seen):
            seen.add(plasma)
            yield plasma or path.stem, np.fromfile(path, np.uint8)


def photograph(data: U8) -> U8 | None:
    """uint8 BGR of at most 640 px; None for drawings, cut-out things and small pictures."""
    image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint8 or image.ndim != 3 or min(image.shape[:2]) < _LEAST_SIDE_PX:
        return None
    if image.shape[2] == 4 and (image[..., 3] < 250).mean() > 0.02:
        return None
    image = image[..., :3]
    scale = _LONGER_SIDE_PX / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if len(np.unique(image.reshape(-1, 3) // 8, axis=0)) < _LEAST_COLOURS:
        return None
    return np.asarray(image, np.uint8)


def main() -> None:
    """Write the photographs of unpacked Debian packages as JPEG files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unpacked", type=Path, help="folder that `dpkg-deb -x` filled")
    parser.add_argument("out", type=Path, help="folder for train/ and test/")
    arguments = parser.parse_args()
    pictures = [named for path in sorted(arguments.unpacked.rglob("*.rcc")) for named in in_resources(path)]
    for folder in ("backgrounds", "wallpapers"):
        pictures += wallpapers(arguments.unpacked / "usr/share" / folder)
    if not pictures:
        sys.exit(f"{arguments.unpacked} has no resource file and no wallpaper; unpack the packages into it")
    for part in ("train", "test"):
        (arguments.out / part).mkdir(parents=True, exist_ok=True)
    kept = 0
    for name, data in pictures:
        image = photograph(data)
        if image is not None:
            part = "test" if kept % 4 == 3 else "train"
            cv2.imwrite(str(arguments.out / part / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
            kept += 1
    print(f"{arguments.out}: {kept} photographs of {len(pictures)} pictures")


if __name__ == "__main__":
    main()
