"""Small objects with behaviour, for what a test cannot have: here networks whose answers are known."""

from __future__ import annotations

import cv2
import numpy as np

from edge_agent.records import U8, Answers, Box, Face


class BrightSquares:
    """A detector that calls every bright square a face."""

    name = "bright-squares"
    score_threshold = 0.6

    def detect(self, bgr: U8) -> list[Face]:
        bright = (bgr.max(axis=2) > 100).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        return [Face(Box(*(float(v) for v in stats[i][:4])), 0.9) for i in range(1, count)]


class ByColour:
    """A classifier for which red is a mask, green is none, blue is worn badly."""

    name = "by-colour"
    labels = ("with_mask", "without_mask", "mask_weared_incorrect")
    input_size_px = 16
    crop_margin = 0.0
    threshold = 0.7

    def classify(self, crops: U8) -> Answers:
        if len(crops) == 0:
            return Answers(np.zeros((0, 3), np.float32), np.zeros(0, np.float32))
        means = crops.astype(np.float32).mean(axis=(1, 2)) + 1e-3
        probabilities = np.asarray(means / means.sum(axis=1, keepdims=True), np.float32)
        return Answers(probabilities, np.ones(len(crops), np.float32))
