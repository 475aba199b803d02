"""Draw the sample clip and its truth: one person three times, bare, masked, and with the mask under the nose.

    python tools/make_sample.py edge_agent/samples

The portrait is the photograph of the astronaut Eileen Collins (NASA, public domain) that scikit-image ships. Masks are
drawn onto its landmarks, and the cut-out figure walks past a painted wall. The same seed gives the same pictures.
Needs scikit-image, which the agent does not.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

U8 = NDArray[np.uint8]

WIDTH, HEIGHT, FPS = 960, 540, 12.5
ENLARGED = 2
# The portrait's landmarks in its own pixels, measured once by hand: the outline of a mask runs through these.
EAR_RIGHT, EAR_LEFT = (183, 112), (266, 113)
JAW_RIGHT, JAW_LEFT = (190, 148), (260, 148)
CHIN, BRIDGE, LIP, NOSE_TIP_Y = (225, 181), (224, 112), (224, 137), 129
FIGURE = (18, 8, 352, 400)  # left, top, width, height of the part that walks


@dataclass(frozen=True, slots=True)
class Visit:
    """One walk past the camera: seconds in the clip, the look, and how large the person is."""

    label: str
    starts_s: float
    lasts_s: float
    scale: float
    mirrored: bool


VISITS = (
    Visit("without_mask", 0.4, 3.6, 1.15, False),
    Visit("with_mask", 5.2, 3.6, 1.25, True),
    Visit("mask_weared_incorrect", 10.0, 3.6, 1.2, False),
)
DURATION_S = 14.4


def points(*pairs: tuple[float, float]) -> NDArray[np.int32]:
    """Portrait coordinates to enlarged pixels with two fractional bits, as cv2 draws them."""
    return np.round(np.array(pairs) * ENLARGED * 4).astype(np.int32)


def mask_outline(label: str) -> NDArray[np.int32]:
    """The polygon of a mask worn well, or one worn under the nose."""
    if label == "with_mask":
        top = [(EAR_RIGHT[0] + 5, 117), (204, 118), BRIDGE, (245, 118), (EAR_LEFT[0] - 6, 117)]
    else:
        top = [(188, 140), (206, 137), LIP, (243, 137), (262, 140)]
    bottom = [JAW_LEFT, (253, 167), (239, 179), CHIN, (211, 179), (197, 167), JAW_RIGHT]
    return points(*top, *bottom)


def draw_mask(portrait: U8, label: str, colour: tuple[int, int, int]) -> U8:
    """The portrait wearing a pleated surgical mask; shape and dtype as given."""
    outline = mask_outline(label)
    area = np.zeros(portrait.shape[:2], np.uint8)
    cv2.fillPoly(area, [outline], 255, cv2.LINE_AA, shift=2)
    rows, columns = np.indices(area.shape, dtype=np.float32)
    middle = CHIN[0] * ENLARGED
    light = 1.0 - 0.35 * np.abs(columns - middle) / (45 * ENLARGED) - 0.12 * (rows / ENLARGED - 140) / 40
    cloth = np.clip(np.array(colour, np.float32) * light[..., None], 0, 255)
    cloth += np.random.default_rng(7).normal(0, 3, cloth.shape)
    out = portrait.copy()
    for ear, edge in ((EAR_RIGHT, tuple(outline[0] / 4 / ENLARGED)), (EAR_LEFT, tuple(outline[4] / 4 / ENLARGED))):
        cv2.line(out, *[tuple(map(int, p)) for p in points(ear, edge)], (225, 225, 225), 2, cv2.LINE_AA, shift=2)
    for ear, jaw in ((EAR_RIGHT, JAW_RIGHT), (EAR_LEFT, JAW_LEFT)):
        cv2.line(out, *[tuple(map(int, p)) for p in points(ear, jaw)], (225, 225, 225), 2, cv2.LINE_AA, shift=2)
    alpha = cv2.GaussianBlur(area, (3, 3), 0)[..., None] / 255.0
    out = np.clip(out * (1 - alpha) + np.clip(cloth, 0, 255) * alpha, 0, 255).astype(np.uint8)
    first, last = (132, 170) if label == "with_mask" else (148, 172)
    for y in np.linspace(first, last, 4):
        pleat = points((195, y - 4), (225, y + 2), (255, y - 4))
        shade = out.copy()
        cv2.polylines(shade, [pleat], False, tuple(int(c * 0.78) for c in colour), 2, cv2.LINE_AA, shift=2)
        out = np.where(alpha > 0.9, shade, out)
    cv2.polylines(out, [outline[:5]], False, tuple(int(c * 0.9) for c in colour), 3, cv2.LINE_AA, shift=2)
    return out


def cut_out(portrait: U8) -> NDArray[np.float32]:
    """The figure's opacity, float32 (h, w), 0 to 1, by GrabCut from a rough shape of head and shoulders."""
    cv2.setRNGSeed(7)
    labels = np.full(portrait.shape[:2], cv2.GC_BGD, np.uint8)
    cv2.ellipse(labels, (227, 72), (84, 72), 0, 0, 360, cv2.GC_PR_BGD, -1)
    cv2.ellipse(labels, (227, 88), (74, 82), 0, 0, 360, cv2.GC_PR_FGD, -1)
    cv2.ellipse(labels, (224, 118), (42, 58), 0, 0, 360, cv2.GC_FGD, -1)
    cv2.fillPoly(
        labels, [np.array([(186, 118), (264, 118), (260, 152), (256, 200), (190, 200), (188, 152)])], cv2.GC_FGD
    )
    cv2.fillPoly(
        labels, [np.array([(112, 175), (310, 175), (366, 330), (366, 420), (18, 420), (40, 260)])], cv2.GC_PR_FGD
    )
    cv2.fillPoly(labels, [np.array([(140, 190), (290, 190), (330, 320), (330, 410), (45, 410), (70, 270)])], cv2.GC_FGD)
    cv2.grabCut(portrait, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    shape = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(shape)
    largest = 1 + int(np.argmax(stats[1:count, cv2.CC_STAT_AREA]))
    return cv2.GaussianBlur((parts == largest).astype(np.float32), (5, 5), 0)


def wall() -> U8:
    """A painted corridor: wall with a gradient, a door, a skirting board and a floor."""
    rows = np.linspace(1.0, 0.86, HEIGHT)[:, None, None]
    picture = np.clip(np.array((196, 205, 208)) * rows * np.ones((1, WIDTH, 1)), 0, 255).astype(np.uint8)
    cv2.rectangle(picture, (690, 70), (880, HEIGHT), (132, 148, 156), -1)
    cv2.rectangle(picture, (690, 70), (880, HEIGHT), (96, 108, 116), 6)
    cv2.circle(picture, (708, 330), 8, (70, 76, 84), -1, cv2.LINE_AA)
    cv2.rectangle(picture, (90, 110), (250, 220), (222, 226, 228), -1)
    cv2.rectangle(picture, (90, 110), (250, 220), (120, 128, 134), 3)
    cv2.rectangle(picture, (0, 505), (WIDTH, HEIGHT), (104, 112, 116), -1)
    return cv2.GaussianBlur(picture, (0, 0), 1.2)


def paste(picture: U8, figure: U8, opacity: NDArray[np.float32], left: int, top: int) -> None:
    """Blend a figure into a picture in place; what sticks out is cut."""
    x0, x1 = max(0, left), min(picture.shape[1], left + figure.shape[1])
    y0, y1 = max(0, top), min(picture.shape[0], top + figure.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    alpha = opacity[y0 - top : y1 - top, x0 - left : x1 - left, None]
    part = figure[y0 - top : y1 - top, x0 - left : x1 - left]
    picture[y0:y1, x0:x1] = (picture[y0:y1, x0:x1] * (1 - alpha) + part * alpha).astype(np.uint8)


def figures() -> dict[str, tuple[U8, NDArray[np.float32]]]:
    """The cut-out person for each label: uint8 BGR and opacity, at the size in which they walk."""
    portrait = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    opacity = cut_out(portrait)
    big = cv2.resize(portrait, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    looks = {
        "without_mask": big,
        "with_mask": draw_mask(big, "with_mask", (214, 190, 140)),
        "mask_weared_incorrect": draw_mask(big, "mask_weared_incorrect", (214, 190, 140)),
    }
    out = {}
    left, top, width, height = FIGURE
    for visit in VISITS:
        size = round(width * visit.scale), round(height * visit.scale)
        whole = looks[visit.label][top * 2 : (top + height) * 2, left * 2 : (left + width) * 2]
        figure = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(opacity[top : top + height, left : left + width], size)
        if visit.mirrored:
            figure, alpha = figure[:, ::-1], alpha[:, ::-1]
        out[visit.label] = (figure, alpha)
    return out


def draw(at_s: float, background: U8, people: dict[str, tuple[U8, NDArray[np.float32]]]) -> U8:
    """The picture at a moment of the clip."""
    picture = background.copy()
    for visit in VISITS:
        share = (at_s - visit.starts_s) / visit.lasts_s
        if not 0 <= share <= 1:
            continue
        figure, opacity = people[visit.label]
        path = -figure.shape[1] + share * (WIDTH + figure.shape[1])
        left = round(WIDTH - figure.shape[1] - path) if visit.mirrored else round(path)
        bob = round(4 * np.sin(at_s * 2 * np.pi * 1.6))
        paste(picture, figure, opacity, left, HEIGHT - figure.shape[0] + 12 + bob)
    return picture


def main(folder: Path) -> None:
    """Write sample.mp4 and sample.json into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    clip = folder / "sample.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        sys.exit(f"cannot write {clip}: this OpenCV has no MPEG-4 encoder")
    background, people = wall(), figures()
    frames = round(DURATION_S * FPS)
    for index in range(frames):
        writer.write(draw(index / FPS, background, people))
    writer.release()
    truth = {
        "clip": clip.name,
        "width": WIDTH,
        "height": HEIGHT,
        "fps": FPS,
        "frames": frames,
        "visits": [{"label": v.label, "from_s": v.starts_s, "to_s": v.starts_s + v.lasts_s} for v in VISITS],
        "source": "portrait of Eileen Collins, NASA, public domain; masks drawn by tools/make_sample.py",
    }
    (folder / "sample.json").write_text(json.dumps(truth, indent=2) + "\n")
    print(f"{clip}: {frames} frames, {clip.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/make_sample.py FOLDER")
    main(Path(sys.argv[1]))
