"""What the API answers, as schemas: for /openapi.json and for tests that hold the answers against them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge_agent.messages import CameraStatus, EventMessage

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Pixels = Annotated[list[int], Field(min_length=4, max_length=4)]
Size = Annotated[list[int], Field(min_length=2, max_length=2)]


class Answer(BaseModel):
    """Closed: a key that is not here is a mistake."""

    model_config = ConfigDict(extra="forbid")


class ProblemBody(Answer):
    """RFC 9457, and what would do."""

    type: str
    title: str
    status: int
    detail: str = Field(description="what is wrong")
    remedy: str = Field(description="what would do")
    instance: str


class FaceBody(Answer):
    """A face. `label` is always the likeliest class; `certain` says whether it would be counted."""

    box: Pixels = Field(description="left, top, width, height in pixels of the upright picture")
    score: Share = Field(description="the detector's")
    label: str
    certain: bool
    probabilities: dict[str, Share]


class PredictionBody(Answer):
    """What `edge-agent predict --json` prints."""

    image: str = Field(description="the file's name as it was sent")
    faces: list[FaceBody]


class BatchLine(Answer):
    """One line of a batch: faces, or why there are none."""

    image: str
    faces: list[FaceBody] | None = None
    error: str | None = None


class HealthBody(Answer):
    """ok and degraded: people are counted. failing: they are not, and the status is 503."""

    status: Literal["ok", "degraded", "failing"]
    reasons: list[str]
    cameras: dict[str, CameraStatus]
    last_frame_age_s: dict[str, float]
    uptime_s: float


class ReadyBody(Answer):
    """Whether the first frame was processed, or a degraded state was declared."""

    ready: bool
    reasons: list[str]


class PersonBody(Answer):
    """One person. In view and counted where both `seen` and `visitor` are true.

    seen: false where the tracker only expects the person there.
    visitor: false for a poster, and for a face that was seen too briefly to be announced.
    """

    id: int
    box: Pixels
    score: float
    label: str
    certain: bool
    seen: bool
    visitor: bool
    probabilities: dict[str, Share]


class CameraBody(Answer):
    """One camera now."""

    name: str
    status: CameraStatus
    reason: str | None
    size: Size | None = Field(description="width and height of its picture")
    frame: int
    at: float = Field(description="when the picture was taken, seconds since 1970")
    fps: float
    progress: Share | None = Field(description="through a file")
    people: dict[str, Count]
    tracks: list[PersonBody]


class NowBody(Answer):
    """What the page shows first."""

    device: str
    version: str
    labels: list[str]
    people: dict[str, Count] = Field(description="in view on all cameras, by label, and cannot_tell")
    cameras: list[CameraBody]
    health: Literal["ok", "degraded", "failing"]
    ready: bool
    reasons: list[str]
    live: bool
    predict: bool
    login: bool


class ComplianceBody(Answer):
    """Correctly masked visits over judged visits, with Wilson's 95 % interval."""

    visits: dict[str, Count]
    cannot_tell: Count
    judged: Count
    compliance: Share | None
    interval_95: list[Share] | None


class HistoryBody(Answer):
    """Ended visits: `bins` are equal parts of the span, oldest first, each a count for each of `labels`."""

    at: float
    span_s: int
    bin_s: float
    labels: list[str]
    bins: list[list[Count]]
    hour: ComplianceBody
    day: ComplianceBody


class PastEvent(EventMessage):
    """An event as it went out over MQTT, and where the visit's best picture is."""

    snapshot: str | None


class EventsBody(Answer):
    """A page of events, newest first. `next` is the `before` of the page that follows; null: this is the last."""

    events: list[PastEvent]
    next: int | None


MODELS: tuple[type[BaseModel], ...] = (
    ProblemBody,
    PredictionBody,
    BatchLine,
    HealthBody,
    ReadyBody,
    NowBody,
    HistoryBody,
    EventsBody,
)
