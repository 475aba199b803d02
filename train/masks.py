"""Masks drawn on bare faces, worn well and badly, from five landmarks.

Coordinates of a face: x in half the distance between the eyes, from their middle to the wearer's left (right in the
picture); y from the eyes (0) to the mouth (1). A frontal face has its chin near y 1.8 and its jaw near x 2. The
proportions come from overlays on faces of the training split, not from a paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_agent.records import U8
from train.faces import Region

Points = NDArray[np.float32]
BAD_STYLES = ("nose_out", "nose_out", "nose_out", "nose_tip", "chin", "chin", "one_ear", "eyes", "moustache")
PALETTE = (  # BGR
    (225, 195, 150),
    (205, 170, 110),
    (240, 240, 240),
    (232, 228, 222),
    (35, 32, 32),
    (60, 55, 52),
    (165, 190, 130),
    (150, 150, 150),
    (180, 160, 225),
    (120, 60, 35),
    (60, 60, 170),
    (200, 205, 215),
    (235, 215, 180),
    (90, 110, 70),
)


@dataclass(frozen=True, slots=True)
class FaceFrame:
    """The affine frame of a face: origin between the eyes, half their distance and eyes to mouth as axes, nose's x."""

    origin: Points
    x_axis: Points
    y_axis: Points
    turn: float

    def pixels(self, points: Points) -> Points:
        """(n, 2) face coordinates to pixels."""
        return np.asarray(self.origin + points[:, :1] * self.x_axis + points[:, 1:] * self.y_axis, np.float32)

    @property
    def unit_px(self) -> float:
        return float(np.hypot(*self.y_axis))


def face_frame(landmarks: Points) -> FaceFrame | None:
    """None where landmarks are missing, or the face is in profile: its frame collapses."""
    if not np.isfinite(landmarks).all():
        return None
    right_eye, left_eye, nose, right_mouth, left_mouth = landmarks
    origin, mouth = (right_eye + left_eye) / 2, (right_mouth + left_mouth) / 2
    x_axis, y_axis = (left_eye - right_eye) / 2, mouth - origin
    cross = float(x_axis[0] * y_axis[1] - x_axis[1] * y_axis[0])
    width, height = float(np.hypot(*x_axis)), float(np.hypot(*y_axis))
    if height < 4 or width < 0.22 * height or cross <= 0:
        return None
    turn = float(np.linalg.solve(np.stack([x_axis, y_axis], 1), nose - origin)[0])
    # a turned face is foreshortened in x; its mask is not thinner than three quarters of a frontal one
    x_axis = x_axis * max(1.0, 0.42 * height / width)
    return FaceFrame(origin, x_axis, y_axis, float(np.clip(turn, -1.2, 1.2)))


def draw(region: Region, rng: np.random.Generator, bad: bool, donor: Region | None = None) -> U8 | None:
    """The region with a mask on its face, worn badly or well; None where its landmarks do not allow it.

    donor: a masked face whose mask may be moved over (its own colours and folds) in place of a drawn one.
    """
    frame = face_frame(region.landmarks)
    if frame is None:
        return None
    style = str(rng.choice(BAD_STYLES)) if bad else "well"
    outline = _outline(style, frame.turn, rng)
    pixels = frame.pixels(outline)
    cloth = _donor_cloth(region, frame, outline, donor, rng) if donor is not None else None
    if cloth is None:
        cloth = _cloth(region.bgr.shape[:2], frame, pixels, rng)
    inside = ((pixels >= 0) & (pixels < np.array(region.bgr.shape[1::-1]) * 0.99)).all(1)
    if inside.mean() < 0.6:  # a picture that ends at the chin shows no mask below it
        return None
    alpha = np.zeros(region.bgr.shape[:2], np.uint8)
    cv2.fillPoly(alpha, [np.round(_smooth(pixels) * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)
    soft = max(1, int(frame.unit_px * 0.04)) * 2 + 1
    mix = cv2.GaussianBlur(alpha, (soft, soft), 0).astype(np.float32)[..., None] / 255 * float(rng.uniform(0.93, 1.0))
    out = region.bgr.astype(np.float32)
    if rng.random() < 0.8:
        _straps(out, frame, outline, style, rng)
    out = out * (1 - mix) + _shade(cloth, region.bgr, frame, rng) * mix
    return np.clip(out, 0, 255).astype(np.uint8)


def _outline(style: str, turn: float, rng: np.random.Generator) -> Points:
    """A closed outline in face coordinates: upper edge left to right, then the lower edge back."""
    top, bottom, half, middle, slant = {
        "well": (rng.uniform(0.1, 0.38), rng.uniform(1.6, 2.05), rng.uniform(1.7, 2.3), 0.0, rng.normal(0, 0.04)),
        "nose_out": (rng.uniform(0.72, 1.0), rng.uniform(1.7, 2.3), rng.uniform(1.6, 2.3), 0.0, rng.normal(0, 0.05)),
        "nose_tip": (rng.uniform(0.56, 0.72), rng.uniform(1.7, 2.2), rng.uniform(1.55, 2.1), 0.0, rng.normal(0, 0.04)),
        "chin": (rng.uniform(1.2, 1.55), rng.uniform(1.95, 2.6), rng.uniform(1.2, 1.9), 0.0, rng.normal(0, 0.06)),
        "one_ear": (
            rng.uniform(0.7, 1.2),
            rng.uniform(1.8, 2.5),
            rng.uniform(0.8, 1.2),
            rng.choice([-1, 1]) * rng.uniform(0.9, 1.6),
            rng.normal(0, 0.35),
        ),
        "eyes": (rng.uniform(-0.75, -0.4), rng.uniform(0.35, 0.75), rng.uniform(1.6, 2.2), 0.0, rng.normal(0, 0.05)),
        "moustache": (rng.uniform(0.3, 0.55), rng.uniform(0.8, 1.0), rng.uniform(1.4, 2.0), 0.0, rng.normal(0, 0.05)),
    }[style]
    lift = rng.uniform(-0.05, 0.22) if style in ("well", "nose_out", "nose_tip") else rng.uniform(-0.15, 0.15)
    sides_top, sides_bottom = top + rng.uniform(-0.1, 0.3), top + (bottom - top) * rng.uniform(0.45, 0.75)
    narrow = rng.uniform(0.5, 0.8)
    shift = middle + turn * 0.45
    points = np.array(
        [
            [-half, sides_top],
            [-half * 0.55, top + 0.06],
            [turn * 0.35, top - lift],
            [half * 0.55, top + 0.06],
            [half, sides_top],
            [half * 0.97, sides_bottom],
            [half * narrow, bottom - 0.12],
            [0, bottom],
            [-half * narrow, bottom - 0.12],
            [-half * 0.97, sides_bottom],
        ],
        np.float32,
    )
    # the far side of a turned face is shorter
    far = np.sign(points[:, 0]) == np.sign(turn)
    points[:, 0] *= np.where(far, 1 - 0.45 * min(1.0, abs(turn)), 1.0)
    points[:, 0] += shift
    points[:, 1] += slant * points[:, 0]
    return points + rng.normal(0, 0.03, points.shape).astype(np.float32)


def _smooth(points: Points) -> Points:
    """Chaikin's corner cutting, twice: cloth has no sharp corners."""
    for _ in range(2):
        following = np.roll(points, -1, 0)
        points = np.stack([0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following], 1).reshape(-1, 2)
    return np.asarray(points, np.float32)


def _cloth(shape: tuple[int, ...], frame: FaceFrame, outline: Points, rng: np.random.Generator) -> NDArray[np.float32]:
    """A coloured cloth over the whole region: plain, pleated, striped, dotted, or of noise."""
    colour = np.array(
        PALETTE[rng.integers(len(PALETTE))] if rng.random() < 0.75 else rng.uniform(20, 245, 3), np.float32
    )
    colour = np.clip(colour + rng.normal(0, 12, 3), 5, 250)
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    up = frame.y_axis / frame.unit_px
    along = ((columns - frame.origin[0]) * up[0] + (rows - frame.origin[1]) * up[1]) / frame.unit_px
    across = ((columns - frame.origin[0]) * up[1] - (rows - frame.origin[1]) * up[0]) / frame.unit_px
    out = np.broadcast_to(colour, (*shape[:2], 3)).astype(np.float32).copy()
    kind = rng.random()
    if kind < 0.4:  # pleats: thin dark lines across
        step, width = rng.uniform(0.2, 0.4), rng.uniform(0.03, 0.07)
        bend = along + 0.08 * across**2
        out *= (1 - rng.uniform(0.08, 0.3) * (np.mod(bend + 9, step) < width))[..., None]
    elif kind < 0.5:
        other = rng.uniform(10, 245, 3).astype(np.float32)
        angle, step = rng.uniform(0, np.pi), rng.uniform(0.12, 0.5)
        out = np.where(
            (np.mod(along * np.cos(angle) + across * np.sin(angle) + 9, step) < step / 2)[..., None], other, out
        )
    elif kind < 0.65:  # blotches
        small = rng.uniform(-1, 1, (rng.integers(3, 12), rng.integers(3, 12), 3)).astype(np.float32)
        out += cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) * rng.uniform(10, 90)
    # cloth bulges: lighter in the middle, darker to the sides and below
    out *= (1.06 - rng.uniform(0.02, 0.16) * (across / 1.2) ** 2 - rng.uniform(0, 0.12) * np.clip(along - 0.8, 0, 2))[
        ..., None
    ]
    cv2.polylines(
        out,
        [np.round(outline * 8).astype(np.int32)],
        True,
        (colour * rng.uniform(0.7, 1.0)).tolist(),
        max(1, int(frame.unit_px * 0.05)),
        cv2.LINE_AA,
        3,
    )
    return out


def _donor_cloth(
    region: Region, frame: FaceFrame, outline: Points, donor: Region | None, rng: np.random.Generator
) -> NDArray[np.float32] | None:
    """A real mask of another face, moved so that its upper edge lies where this outline's lies."""
    theirs = face_frame(donor.landmarks) if donor is not None else None
    if donor is None or theirs is None or theirs.unit_px < 0.5 * frame.unit_px or abs(theirs.turn) > 0.5:
        return None
    left, right = float(outline[:, 0].min()), float(outline[:, 0].max())
    top, bottom = float(outline[:, 1].min()), float(outline[:, 1].max())
    here = frame.pixels(np.array([[left, top], [right, top], [left, bottom]], np.float32))
    there = theirs.pixels(np.array([[-1.25, 0.62], [1.25, 0.62], [-1.25, 1.5]], np.float32))
    moved = cv2.warpAffine(
        donor.bgr,
        cv2.getAffineTransform(there, here),
        (region.bgr.shape[1], region.bgr.shape[0]),
        borderMode=cv2.BORDER_REFLECT,
    ).astype(np.float32)
    return moved * float(rng.uniform(0.85, 1.12))


def _shade(cloth: NDArray[np.float32], bgr: U8, frame: FaceFrame, rng: np.random.Generator) -> NDArray[np.float32]:
    """The light of the face, blurred, on the cloth; and the picture's own noise and sharpness."""
    width = max(3, int(frame.unit_px * 0.8) | 1)
    light = cv2.GaussianBlur(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), (width, width), 0).astype(np.float32)
    light = light / max(20.0, float(np.percentile(light, 80)))
    level = float(np.clip(np.median(bgr) / 120, 0.35, 1.1))
    strength = float(rng.uniform(0.3, 0.9))
    out = cloth * (1 - strength + strength * np.clip(light, 0.3, 1.2))[..., None] * (0.5 + 0.5 * level)
    return np.asarray(out + rng.normal(0, rng.uniform(0, 4), cloth.shape), np.float32)


def _straps(out: NDArray[np.float32], frame: FaceFrame, outline: Points, style: str, rng: np.random.Generator) -> None:
    """Ear loops, from the upper and lower corners to the ears; one hangs loose where the mask hangs from one ear."""
    tone = float(rng.choice([235, 215, 50]))
    thick = max(1, int(frame.unit_px * rng.uniform(0.03, 0.07)))
    sides = (-1, 1) if style != "one_ear" else (int(np.sign(outline[:, 0].mean()) or 1),)
    for side in sides:
        ear = np.array([[side * 2.15 + frame.turn * 0.5, rng.uniform(0.1, 0.5)]], np.float32)
        corners = outline[[4, 5]] if side > 0 else outline[[0, 9]]
        for corner in corners:
            a, b = frame.pixels(np.stack([corner, ear[0]]))
            cv2.line(
                out,
                tuple(np.round(a * 8).astype(int).tolist()),
                tuple(np.round(b * 8).astype(int).tolist()),
                (tone, tone, tone),
                thick,
                cv2.LINE_AA,
                3,
            )
