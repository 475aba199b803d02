"""How much one view of a face is worth: 0 to 1 for size, sharpness, pose and the detector's score. Pure.

sharpness(crop_rgb) -> float             measured on the classifier's crop, put into Reading.sharpness by the predictor
sureness(score, threshold) -> float      how much of a face the detector saw, put into Reading.sureness by the predictor
is_shown(sure, is_face) -> bool          whether a box is a face in a picture that stands alone
weight(reading, min_face_px) -> float
"""

from __future__ import annotations

import cv2

from edge_agent.records import F32, U8, Reading

FULL_SIZE_PX = 64  # above it more pixels say no more: the classifier's input is not much larger
SIDE_PX = 64
SURE_SHARE = 0.625  # of the way from a detector's threshold to 1, YuNet's 0.6 to 0.85: backs of heads lie below it
HARDLY_A_FACE = 0.2


def sharpness(crop_rgb: U8) -> float:
    """0 (a smear) to 1 (sharp): the strength of the finest detail relative to the contrast of the crop.

    crop_rgb: uint8 (n, n, 3). Relative, so that a dark or a bare face is not called a smear.
    """
    # Few points: an enlarged small face must not look blurred only because it was enlarged. A whole number of pixels to
    # one is a fifth of the work of a broken one.
    side = crop_rgb.shape[0] // max(1, round(crop_rgb.shape[0] / SIDE_PX))
    grey = cv2.resize(cv2.cvtColor(crop_rgb, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_AREA)
    fine = cv2.Laplacian(grey, cv2.CV_16S, ksize=1)
    contrast = float(cv2.meanStdDev(grey)[1][0, 0])
    if contrast < 1.0:
        return 0.0
    return min(1.0, cv2.norm(fine, cv2.NORM_L1) / fine.size / (contrast * 0.25))


def frontal(landmarks_px: F32 | None) -> float:
    """1 for a face seen from the front, 0.2 for a profile, by eyes and nose; 1 where they are unknown."""
    if landmarks_px is None:
        return 1.0
    right_x, right_y, left_x, left_y, nose_x, nose_y = map(float, landmarks_px[:3].ravel())
    across_x, across_y = left_x - right_x, left_y - right_y
    between_squared = across_x * across_x + across_y * across_y
    if between_squared < 1.0:
        return 0.2
    from_middle_x, from_middle_y = nose_x - (left_x + right_x) / 2, nose_y - (left_y + right_y) / 2
    turned = abs(from_middle_x * across_x + from_middle_y * across_y) / between_squared  # in distances of the eyes
    return min(1.0, max(0.2, 1.3 - 1.8 * turned))


def sureness(score: float, threshold: float) -> float:
    """1 for what is surely a face, 0.2 for what is hardly one.

    Detectors spread their scores differently: a score counts by its way from the detector's own threshold to 1.
    """
    way = (score - threshold) / max(1e-6, 1.0 - threshold)
    return min(1.0, max(HARDLY_A_FACE, way / SURE_SHARE))


def is_shown(sure: float, is_face: bool) -> bool:
    """Whether a box in a single picture is a face to anybody: one of the two networks has to be of that opinion.

    sure: `sureness` of the detector's score; is_face: whether the classifier sees one, if only in part.
    Of 930 faces that the shipped detector finds in the photographs of val 6 are lost so, of its 147 boxes on no
    labelled face 49.
    """
    return is_face or sure >= 1.0


def weight(reading: Reading, min_face_px: int) -> float:
    """0 to 1; 0 for a face smaller than `min_face_px` on its shorter side, and for what is no face."""
    size_px = reading.face.box.shorter_side
    if size_px < min_face_px:
        return 0.0
    size = min(1.0, 0.4 + 0.6 * size_px / FULL_SIZE_PX)
    sharp = 0.25 + 0.75 * min(1.0, 2.0 * reading.sharpness)
    return size * sharp * reading.sureness * frontal(reading.face.landmarks_px)
