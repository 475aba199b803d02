"""The sections of the stages a frame passes: camera, motion, detect, classify, track, decide, record, privacy."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from edge_agent.config.base import FileName, Name, SecretFile, Section, SourceName, no_switch

NO_AREA = 1e-9  # of the picture: less than a pixel of any picture


def _share(value: float) -> float:
    if not 0 <= value <= 1:  # nan is neither
        raise ValueError(
            f"{value:.9g} is no share of the picture; give 0 to 1: pixels divided by the picture's width or height"
        )
    return value


def _encloses(corners: tuple[Point, ...]) -> tuple[Point, ...]:
    if len(corners) > 3 and corners[0] == corners[-1]:
        corners = corners[:-1]  # closed, as GeoJSON writes it
    seen: dict[Point, int] = {}
    for number, corner in enumerate(corners):
        first = seen.setdefault(corner, number)
        if first != number:
            raise ValueError(
                f"corner [{number}] is corner [{first}] again, {list(corner)}; give each once, the last joins the first"
            )
    x, y = corners[0]
    far_x, far_y = max(((cx - x, cy - y) for cx, cy in corners), key=lambda step: math.hypot(*step))
    if max(abs(far_x * (cy - y) - far_y * (cx - x)) for cx, cy in corners) < NO_AREA:
        raise ValueError(f"all {len(corners)} corners lie on one line; give at least three that enclose an area")
    for first, second in combinations(range(len(corners)), 2):
        if _cross(*(corners[number % len(corners)] for number in (first, first + 1, second, second + 1))):
            raise ValueError(
                f"the line from corner [{first}] crosses the one from corner [{second}]; give corners in their order"
            )
    return corners


def _cross(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether a to b and c to d have a point in common that is an end of neither."""

    def side(p: Point, q: Point, r: Point) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


Share = Annotated[
    float, BeforeValidator(no_switch), AfterValidator(_share), Field(json_schema_extra={"minimum": 0, "maximum": 1})
]
Point = tuple[Share, Share]


class ZoneConfig(Section):
    """A part of the picture that counts by itself."""

    name: Name = Field(description="the zone's name in events and topics")
    polygon: Annotated[tuple[Point, ...], AfterValidator(_encloses)] = Field(
        min_length=3, description="corners, each x and y as a share of the picture, 0 to 1"
    )


def _names_differ(zones: tuple[ZoneConfig, ...]) -> tuple[ZoneConfig, ...]:
    names = [zone.name for zone in zones]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ValueError(f"[{names.index(name)}] and [{number}] are both called {name!r}; give each its own name")
    return zones


class CameraConfig(Section):
    """One camera."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # source = 0

    name: Name = Field(
        default="camera", description="the camera's name in topics, metrics and files; unique on this device"
    )
    source: SourceName = Field(
        description="a device number, rtsp:// or http:// address, csi, a video file, or a folder of images",
    )
    credentials_file: SecretFile | None = Field(
        default=None, description="a file with user:password, put into the address when it is opened"
    )
    realtime: bool | None = Field(
        default=None,
        description="play a file at its own speed and drop frames as a camera would; unset: only live sources",
    )
    width_px: int | None = Field(
        default=None, ge=16, le=8192, description="picture width to ask a camera for; with height_px"
    )
    height_px: int | None = Field(
        default=None, ge=16, le=8192, description="picture height to ask a camera for; with width_px"
    )
    max_fps: float | None = Field(default=None, gt=0, le=240, description="look at no more frames a second than this")
    zones: Annotated[tuple[ZoneConfig, ...], AfterValidator(_names_differ)] = Field(
        default=(), description="parts of the picture that count by themselves"
    )

    @model_validator(mode="after")
    def _width_and_height(self) -> CameraConfig:
        if (self.width_px is None) != (self.height_px is None):
            raise ValueError("give width_px and height_px, or neither")
        return self


class DetectorConfig(Section):
    """Where the faces are."""

    kind: Literal["tflite", "yunet", "haar"] = Field(default="tflite", description="which detector")
    model: FileName | None = Field(default=None, description="a model file of your own; unset: the one that is shipped")
    score: float | None = Field(
        default=None, gt=0, lt=1, description="faces below it are dropped; unset: the model's own"
    )
    nms_iou: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="of two boxes that overlap more, the weaker is dropped; unset: the model's own, 0.3 for yunet",
    )
    min_face_px: int = Field(default=16, ge=1, le=4096, description="smaller faces (shorter side) are dropped")
    longer_side_px: int = Field(
        default=640, ge=64, le=4096, description="for yunet alone: the picture's longer side is scaled to this"
    )
    threads: int = Field(default=1, ge=1, le=64, description="threads of the runtime")


class ClassifierConfig(Section):
    """What a face wears."""

    model: FileName | None = Field(default=None, description="a model file of your own; unset: the one that is shipped")
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="less probable answers are 'cannot tell'; unset: the model's own"
    )
    threads: int = Field(default=1, ge=1, le=64, description="threads of the runtime")


class LivenessConfig(Section):
    """When a picture is no longer to be trusted. A status begins after its delay, and ends when its cause is gone."""

    stalled_after_s: float = Field(default=3.0, gt=0, le=3600, description="no picture for so long: stalled")
    offline_after_s: float = Field(default=15.0, gt=0, le=3600, description="no picture for so long: offline")
    frozen_after_s: float = Field(default=10.0, gt=0, le=3600, description="the very same picture for so long: frozen")
    dark_after_s: float = Field(default=5.0, gt=0, le=3600, description="next to no light for so long: dark")
    covered_after_s: float = Field(default=5.0, gt=0, le=3600, description="no detail for so long: covered")
    moved_after_s: float = Field(default=10.0, gt=0, le=3600, description="another view for so long: moved")
    learn_s: float = Field(default=10.0, gt=0, le=3600, description="time to learn what the camera usually sees")
    accept_view_after_s: float = Field(
        default=600.0, gt=0, le=86_400, description="a moved camera's new view is taken as usual after so long"
    )
    clear_after_s: float = Field(default=1.0, ge=0, le=3600, description="a cause must be gone for so long")


class MotionConfig(Section):
    """A still scene costs next to nothing."""

    enabled: bool = Field(default=True, description="skip frames on which nothing moved")
    heartbeat_s: float = Field(default=1.0, gt=0, le=3600, description="look at a still scene at least this often")
    linger_s: float = Field(default=1.0, ge=0, le=60, description="go on looking for so long after the last movement")
    threshold: int = Field(default=12, ge=1, le=255, description="grey levels by which a point must change")
    min_points: int = Field(
        default=4, ge=1, le=14_400, description="changed points, of a picture 160 wide, that are a movement"
    )


class TrackConfig(Section):
    """Faces over time become people."""

    lost_after_s: float = Field(default=2.0, gt=0, le=3600, description="a person unseen for so long has left")
    return_within_s: float = Field(
        default=6.0, gt=0, le=3600, description="one who stood still when lost may come back at that place for so long"
    )
    new_score: float = Field(
        default=0.0, ge=0, le=1, description="weaker faces continue a track but begin none; 0: the detector decides"
    )


class DecideConfig(Section):
    """People over time become verdicts and events."""

    min_face_px: int = Field(default=20, ge=1, le=4096, description="smaller faces give no evidence")
    min_hits: int = Field(default=3, ge=1, le=1000, description="sightings that make a visit")
    min_seen_s: float = Field(default=0.2, ge=0, le=60, description="a visit lasts at least so long")
    min_evidence_s: float = Field(
        default=0.4, gt=0, le=60, description="seconds of a perfect view that a verdict needs"
    )
    certain: float | None = Field(
        default=None, ge=0.34, le=1, description="less probable verdicts are 'cannot tell'; unset: the classifier's own"
    )
    judge_within_s: float = Field(
        default=1.5, ge=0, le=60, description="a visit is announced after so long even where nothing can be told"
    )
    memory_s: float = Field(default=1.5, gt=0, le=60, description="evidence fades with this time constant")
    change_after_s: float = Field(
        default=0.8, ge=0, le=60, description="another verdict must hold for so long before it is announced"
    )
    static_after_s: float = Field(
        default=120.0, gt=0, le=86_400, description="a face that has not moved at all for so long is a poster"
    )


class RecordConfig(Section):
    """High-confidence detections are saved."""

    enabled: bool = Field(default=True, description="save pictures at all")
    threshold: float = Field(default=0.9, ge=0, le=1, description="save verdicts at least this certain")
    uncertain: bool = Field(
        default=False,
        description="also save the best picture of visits that could not be judged, or less certainly: to learn from",
    )
    quota_bytes: int = Field(default=200_000_000, ge=0, description="the oldest are removed above this")
    quota_days: float = Field(default=30, gt=0, le=3660, description="older ones are removed")
    max_per_minute: int = Field(default=30, ge=0, le=10_000, description="save no more than so many a minute")
    best_within_s: float = Field(
        default=10.0, ge=0, le=3600, description="the best picture of so many seconds of a visit is saved"
    )
    min_free_bytes: int = Field(
        default=50_000_000, ge=0, description="save nothing while the disk has less than this to spare"
    )
    jpeg_quality: int = Field(default=88, ge=10, le=100, description="JPEG quality of saved pictures")


class PrivacyConfig(Section):
    """What of a face may be written or sent; applied before any byte leaves the memory."""

    pictures: Literal["full", "crop", "blurred", "none"] = Field(
        default="crop", description="whole pictures, faces alone, whole pictures with blurred faces, or none"
    )
