"""What the description of the API shows: answers as an agent gives them that watches the sample clip; parameters."""

from __future__ import annotations

from typing import Any

LABELS = ["with_mask", "without_mask", "mask_weared_incorrect"]
ONE_MASKED = {"with_mask": 1, "without_mask": 0, "mask_weared_incorrect": 0, "cannot_tell": 0}
SHARES = {"with_mask": 0.9907, "without_mask": 0.0023, "mask_weared_incorrect": 0.0071}
FACE = {"box": [308, 127, 108, 142], "score": 0.8396, "label": "with_mask", "certain": True, "probabilities": SHARES}
PERSON = {"id": 40, **FACE, "seen": True, "visitor": True}
COMPLIANCE = {
    "visits": {"with_mask": 104, "without_mask": 101, "mask_weared_incorrect": 102},
    "cannot_tell": 10,
    "judged": 307,
    "compliance": 0.3388,
    "interval_95": [0.2881, 0.3934],
}
EVENT = {
    "schema": 1,
    "at": "2026-11-26T00:17:25.445Z",
    "seq": 43,
    "message_id": "a407b8bd-43",
    "start": "a407b8bd",
    "type": "end",
    "id": "2afe0c1-door-21",
    "device": "front-door",
    "camera": "door",
    "zone": None,
    "track": 39,
    "before": "with_mask",
    "after": "with_mask",
    "counted_as": "with_mask",
    "probabilities": SHARES,
    "box": [308, 127, 108, 142],
    "static": False,
    "frames": 20,
    "first_seen": "2026-11-26T00:17:21.030Z",
    "last_seen": "2026-11-26T00:17:23.396Z",
    "duration_s": 2.366,
    "boot": "b354b620-de19-4958-aae7-91be07bf4717",
    "monotonic_s": 2405.996,
    "clock_synchronised": True,
    "snapshot": "/snapshots/2afe0c1-door-21",
}

HEALTHY = {
    "status": "ok",
    "reasons": [],
    "cameras": {"door": "online"},
    "last_frame_age_s": {"door": 0.065},
    "uptime_s": 69.511,
}
FAILING = {
    **HEALTHY,
    "status": "failing",
    "reasons": ["camera door is offline: the stream ended or the camera is gone; it is tried again"],
    "cameras": {"door": "offline"},
    "last_frame_age_s": {"door": 12.4},
}
READY = {"ready": True, "reasons": []}
NOT_READY = {"ready": False, "reasons": ["no frame was processed yet"]}
ANSWERS: dict[str, Any] = {
    "NowBody": {
        "device": "front-door",
        "version": "0.1.0",
        "people": ONE_MASKED,
        "cameras": [
            {
                "name": "door",
                "status": "online",
                "reason": None,
                "size": [960, 540],
                "frame": 1121,
                "at": 1795652246.71,
                "fps": 12.5,
                "progress": None,
                "people": ONE_MASKED,
                "tracks": [PERSON],
            }
        ],
        "labels": LABELS,
        "health": "ok",
        "ready": True,
        "reasons": [],
        "live": True,
        "predict": True,
        "login": False,
    },
    "HistoryBody": {
        "at": 1795652247.65,
        "span_s": 3600,
        "bin_s": 900.0,
        "labels": [*LABELS, "cannot_tell"],
        "bins": [[0, 0, 0, 0], [5, 6, 5, 0], [60, 59, 58, 5], [39, 36, 39, 5]],
        "hour": COMPLIANCE,
        "day": COMPLIANCE,
    },
    "EventsBody": {"events": [EVENT], "next": 636},
    "PredictionBody": {"image": "door.jpg", "faces": [FACE]},
}
LINES = (
    '{"image": "door.jpg", "faces": []}\n'
    '{"image": "notes.txt", "error": "this is not a picture that can be read; send a JPEG, PNG, WebP or BMP picture"}\n'
)
METRICS = 'maskwatch_people{camera="door",label="with_mask"} 1.0\n'
PARAMETERS: dict[str, Any] = {
    "limit": 10,
    "camera": "door",
    "type": "end",
    "label": "without_mask",
    "since": "2026-01-31T08:00:00Z",
    "span_s": 3600,
    "bins": 12,
}
