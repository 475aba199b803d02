"""Pictures of what the shipped detector finds and misses: the person of the sample clip, made harder step by step.

    python -m benchmarks.detector_pictures --plot docs/detector-pictures.jpg

The photographs that it is measured on may not be passed on; the clip's portrait (NASA) may. One person, so these show
where it gives up, not how often: that is in the table of benchmarks/detectors.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_agent.detect import SHIPPED
from edge_agent.detect_tflite import TFLiteDetector
from edge_agent.preprocess import PAD_VALUE, crop, resize
from edge_agent.records import U8, Box, Face

CLIP = Path(__file__).parents[1] / "edge_agent" / "samples" / "sample.mp4"
SCENE_PX = (640, 480)
TILE_PX, CAPTION_PX, MARGIN = 112, 18, 0.5
SAME_IOU = 0.4
FOUND, MISSED = (80, 170, 60), (50, 50, 220)  # BGR
LOOKS = {"bare": 28, "masked": 88, "badly worn": 148}
"""By look, the frame of the clip in which the person faces the camera."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """One frame of the clip, uint8 BGR, and the face in it."""

    frame: U8
    face: Box


@dataclass(frozen=True, slots=True)
class Trial:
    """A row of the picture: what is done to a portrait, over falling ease."""

    name: str
    steps: tuple[float, ...]
    scene: Callable[[Portrait, float], tuple[U8, Box]]


def placed(portrait: Portrait, face_px: float, degrees: float = 0.0, left_px: float | None = None) -> tuple[U8, Box]:
    """A scene with the face so wide, turned, in its middle or with its left edge at left_px; and the face's box."""
    width, height = SCENE_PX
    face, scale = portrait.face, face_px / portrait.face.w
    frame = portrait.frame
    if scale < 0.5:  # by area first: bilinear sampling would alias
        frame = resize(frame, round(frame.shape[1] * scale), round(frame.shape[0] * scale))
        face, scale = Box(*(v * scale for v in (face.x, face.y, face.w, face.h))), 1.0
    matrix = cv2.getRotationMatrix2D(face.centre, degrees, scale)
    middle = width / 2 if left_px is None else left_px + face_px / 2
    matrix[:, 2] += np.array([middle, height / 2]) - face.centre
    scene = cv2.warpAffine(frame, matrix, (width, height), borderValue=(PAD_VALUE,) * 3)
    # a face turns as an ellipse does
    reach = np.sqrt(np.array([face.w / 2, face.h / 2]) ** 2 @ (matrix[:, :2] ** 2).T)
    box = Box(middle - reach[0], height / 2 - reach[1], 2 * reach[0], 2 * reach[1]).clipped(width, height)
    return np.asarray(scene, np.uint8), box


def darkened(portrait: Portrait, gain: float) -> tuple[U8, Box]:
    """With noise that does not darken along: seed 0."""
    scene, box = placed(portrait, 48)
    noise = np.random.default_rng(0).normal(0, 3, scene.shape)
    return np.clip(scene * gain + noise, 0, 255).astype(np.uint8), box


def blurred(portrait: Portrait, sigma_px: float) -> tuple[U8, Box]:
    scene, box = placed(portrait, 48)
    return np.asarray(cv2.GaussianBlur(scene, (0, 0), sigma_px), np.uint8), box


def hidden(portrait: Portrait, share: float) -> tuple[U8, Box]:
    """Behind a pillar, from the left."""
    scene, box = placed(portrait, 64)
    edge = round(box.x + box.w * share)
    scene[:, max(0, edge - 90) : edge] = (96, 108, 116)
    return scene, box


TRIALS = (
    Trial("face, px wide", (64, 32, 20, 14, 10, 8), placed),
    Trial("head tilted, degrees", (15, 30, 45, 60, 75, 90), lambda p, v: placed(p, 64, v)),
    Trial("light, share", (0.5, 0.3, 0.2, 0.12, 0.08, 0.05), darkened),
    Trial("blur, px (sigma)", (2, 4, 6, 8, 10, 12), blurred),
    Trial("hidden, share", (0.2, 0.3, 0.4, 0.5, 0.6, 0.7), hidden),
    Trial("outside, share", (0.2, 0.3, 0.4, 0.5, 0.6, 0.7), lambda p, v: placed(p, 64, left_px=-64 * v)),
)


def portraits(detector: TFLiteDetector) -> dict[str, Portrait]:
    """By look, the clip's frame and the face that the detector finds in it as it is."""
    video, found = cv2.VideoCapture(str(CLIP)), {}
    for look, number in LOOKS.items():
        video.set(cv2.CAP_PROP_POS_FRAMES, number)
        read, frame = video.read()
        faces = detector.detect(frame) if read else []
        if not faces:
            raise SystemExit(f"{detector.name} finds no face in frame {number} of {CLIP}; choose another in LOOKS")
        found[look] = Portrait(np.asarray(frame, np.uint8), faces[0].box)
    return found


def tile(scene: U8, wanted: Box, faces: list[Face], caption: str) -> tuple[U8, bool]:
    """A cut-out of the scene with what was found, framed in the colour of the outcome."""
    hit = next((face for face in faces if face.box.iou(wanted) >= SAME_IOU), None)
    side = max(wanted.w, wanted.h) * (1 + 2 * MARGIN)
    white = np.asarray(cv2.copyMakeBorder(scene, *[TILE_PX] * 4, cv2.BORDER_CONSTANT, value=(255,) * 3), np.uint8)
    shifted = Box(wanted.x + TILE_PX, wanted.y + TILE_PX, wanted.w, wanted.h)
    out = crop(white, shifted, TILE_PX, MARGIN)[..., ::-1].copy()
    if hit is not None:
        zoom, (x, y) = TILE_PX / side, wanted.centre
        corner = (round((hit.box.x - x + side / 2) * zoom), round((hit.box.y - y + side / 2) * zoom))
        far = (corner[0] + round(hit.box.w * zoom), corner[1] + round(hit.box.h * zoom))
        cv2.rectangle(out, corner, far, FOUND, 1)
    colour = MISSED if hit is None else FOUND
    cv2.rectangle(out, (0, 0), (TILE_PX - 1, TILE_PX - 1), colour, 2)
    words = f"{caption}  {'missed' if hit is None else f'{hit.score:.2f}'}"
    strip = np.full((CAPTION_PX, TILE_PX, 3), 255, np.uint8)
    cv2.putText(strip, words, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.38, colour, 1, cv2.LINE_AA)
    return np.vstack([out, strip]), hit is not None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detector_pictures", description=__doc__)
    parser.add_argument("--model", type=Path, default=SHIPPED, help="the detector")
    parser.add_argument("--plot", type=Path, default=None, help="write the pictures here (.jpg)")
    args = parser.parse_args()
    detector = TFLiteDetector.open(args.model)
    people, rows = portraits(detector), []
    print(f"{detector.name} {detector.manifest.version}, score {detector.score}; {SCENE_PX[0]}x{SCENE_PX[1]} px")
    for trial in TRIALS:
        for look, portrait in people.items():
            tiles, last = [], "none"
            for step in trial.steps:
                scene, box = trial.scene(portrait, step)
                picture, found = tile(scene, box, detector.detect(scene), f"{step:g}")
                tiles.append(picture)
                last = f"{step:g}" if found else last
            row = np.hstack(tiles)
            name = np.full((row.shape[0], 170, 3), 255, np.uint8)
            for at, words in ((52, trial.name), (72, look)):
                cv2.putText(name, words, (6, at), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA)
            rows.append(np.hstack([name, row]))
            print(f"{trial.name:22} {look:12} found up to {last}")
    if args.plot is not None:
        cv2.imwrite(str(args.plot), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
