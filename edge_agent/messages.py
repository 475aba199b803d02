"""Everything that leaves the device, and every command that comes in: one pydantic model each.

The JSON Schemas and one example per topic are generated from here into docs/mqtt.md. `available` and a camera's
`status` are bare words, not JSON. `seq` counts the messages of one kind since the agent started; `start` names that
start, so (start, seq) orders and identifies an event: a subscriber drops a `message_id` that it has seen.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from edge_agent.config import Name
from edge_agent.records import Event

AVAILABLE = ("online", "offline")
CameraStatus = Literal["online", "stalled", "frozen", "dark", "covered", "moved", "offline"]
LARGEST_COMMAND_BYTES = 4096


def utc_text(moment: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Utc = Annotated[datetime, PlainSerializer(utc_text, return_type=str)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


def utc(seconds: float) -> datetime:
    """A moment from seconds since 1970; a clock that is far off gives the nearest moment that can be written."""
    return datetime.fromtimestamp(min(max(seconds, 0.0), 253_402_300_799.0), UTC)


class Message(BaseModel):
    """What each JSON payload has."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_: Literal[1] = Field(default=1, alias="schema", description="version of this format")
    at: Utc = Field(description="when it was made, UTC")
    seq: Count = Field(description="counts messages of this kind since the agent started")

    def payload(self) -> bytes:
        """The JSON that goes out."""
        return self.model_dump_json(by_alias=True).encode()


class EventMessage(Message):
    """A person's visit began, changed or ended."""

    message_id: str = Field(description="the same only where the same event is sent again")
    start: str = Field(description="names this start of the agent")
    type: Literal["new", "update", "end"]
    id: str = Field(description="one for one person's visit")
    device: str
    camera: str
    zone: str | None
    track: int
    before: str | None = Field(description="a label or cannot_tell; null for new")
    after: str = Field(description="a label or cannot_tell")
    counted_as: str | None = Field(description="the label that the visit counts for so far; null: not counted")
    probabilities: dict[str, Share]
    box: tuple[int, int, int, int] = Field(description="left, top, width, height in pixels of the picture")
    static: bool = Field(description="the face has not moved for minutes: a poster, not a visitor")
    frames: Count
    first_seen: Utc
    last_seen: Utc
    duration_s: Annotated[float, Field(ge=0)]
    boot: str = Field(description="the kernel's id of this boot")
    monotonic_s: float = Field(description="orders events of one boot whatever the clock does")
    clock_synchronised: bool | None = Field(description="whether UTC followed a time server; null: unknown")


class ModelInfo(BaseModel):
    """A model file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str = ""
    sha256: str = ""


class Info(BaseModel):
    """What this device is, as the agent knows it when it starts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(description="the agent's")
    model: ModelInfo | None = None
    detector: ModelInfo | None = None
    labels: tuple[str, ...] = ()
    config_sha256: str = Field(
        default="", description="of the configuration in use; what waits for a restart changes it at the restart"
    )
    capabilities: tuple[str, ...] = ()


class InfoMessage(Message, Info):
    """What this device is."""

    device: str
    start: str
    cameras: tuple[str, ...]
    reload_error: str | None = Field(
        default=None, description="why the last reload was refused; the old config runs on"
    )


class ComplianceFigures(BaseModel):
    """Correctly masked visits over judged visits, with the Wilson 95 % interval; null where no visit was judged."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window: Literal["hour", "day", "start"] = Field(description="of the last hour, the last day, since start")
    camera: str | None = Field(description="null: all cameras")
    zone: str | None = Field(description="null: the whole picture")
    correct: Count = Field(description="ended visits with a mask worn as it should be")
    judged: Count
    cannot_tell: Count = Field(description="visits that could not be judged: not in judged")
    rate: Share | None
    low: Share | None
    high: Share | None


class LoopFigures(BaseModel):
    """What the loop knows: counters since start, rates, latencies. Also what `run --summary` writes."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    people: dict[str, Count] = Field(default={}, description="visits counted since start, by label")
    cannot_tell: Count = Field(default=0, description="visits that could not be judged")
    frames: Count = Field(default=0, description="frames processed since start")
    fps: Annotated[float, Field(ge=0)] = 0.0
    latency_ms: dict[str, dict[str, float]] = Field(default={}, description="per stage: p50 and p95")
    saved: Count = Field(default=0, description="pictures saved since start")
    compliance: tuple[ComplianceFigures, ...] = Field(
        default=(),
        description="one for each window of all cameras, each camera, each zone; empty: model without with_mask",
    )


class HostFigures(BaseModel):
    """The machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu_percent: float | None = Field(default=None, description="of one core, of this process, since the last time")
    resident_bytes: Count | None = None
    memory_available_bytes: Count | None = None
    temperature_celsius: float | None = None
    disk_free_bytes: Count | None = None
    load_1min: float | None = None


class SpoolFigures(BaseModel):
    """Events that wait for the broker."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: Count
    bytes: Count
    dropped: dict[str, Count] = Field(description="since start, by reason")
    disk_error: str | None = None


class MqttFigures(BaseModel):
    """The connection to the broker, since start."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connects: Count
    events_acknowledged: Count
    commands_refused: dict[str, Count]


class StatsMessage(Message, LoopFigures):
    """Counters since start, rates, latency, the machine. A lost message loses nothing."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    device: str
    start: str
    uptime_s: Annotated[float, Field(ge=0)]
    health: Literal["ok", "degraded", "failing"]
    reasons: tuple[str, ...] = ()
    paused: bool = False
    threshold: Share | None = None
    host: HostFigures
    spool: SpoolFigures
    mqtt: MqttFigures


class PeopleMessage(Message):
    """People in view now."""

    camera: str
    people: dict[str, Count] = Field(description="by label, and cannot_tell")
    total: Count


class Command(BaseModel):
    """An order. `id` comes back in the answer; an id that was seen is answered again, not carried out again."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: Annotated[str, Field(max_length=128)] | None = None
    action: Literal["pause", "resume", "snapshot", "set_threshold", "reload"]
    args: CommandArgs = Field(default_factory=lambda: CommandArgs())
    expires_at: datetime | None = Field(
        default=None, description="not carried out after it; MQTT's expiry works as well"
    )


class CommandArgs(BaseModel):
    """camera: whom it concerns (unset: all). threshold: for set_threshold. for_s: a pause ends by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    camera: Name | None = None
    threshold: Share | None = None
    for_s: Annotated[float, Field(gt=0, le=604_800)] | None = None


class CommandResult(Message):
    """The answer to a command."""

    id: str | None
    action: str | None
    ok: bool
    message: str = Field(description="what was done, or why not and what would do")
    result: dict[str, Any] = {}


def event_message(
    event: Event, labels: tuple[str, ...], device: str, start: str, seq: int, boot: str, synchronised: bool | None
) -> EventMessage:
    """The message of one event record."""
    return EventMessage(
        at=utc(event.utc_s),
        seq=seq,
        message_id=f"{start}-{seq}",
        start=start,
        type=event.type,
        id=event.visit,
        device=device,
        camera=event.camera,
        zone=event.zone,
        track=event.track,
        before=event.before,
        after=event.after,
        counted_as=event.counted_as,
        probabilities={
            label: round(min(max(float(p), 0.0), 1.0), 4) for label, p in zip(labels, event.probabilities, strict=False)
        },
        box=event.box.rounded(),
        static=event.static,
        frames=event.frames,
        first_seen=utc(event.first_seen_utc_s),
        last_seen=utc(event.last_seen_utc_s),
        duration_s=round(max(0.0, event.duration_s), 3),
        boot=boot,
        monotonic_s=round(event.at_s, 3),
        clock_synchronised=synchronised,
    )
