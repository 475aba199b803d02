"""The whole configuration, section by section."""

from __future__ import annotations

from pydantic import Field, model_validator

from edge_agent.config.base import Section
from edge_agent.config.service import (
    DeviceConfig,
    HttpConfig,
    LogConfig,
    MqttConfig,
    SpoolConfig,
    StatsConfig,
)
from edge_agent.config.stages import (
    CameraConfig,
    ClassifierConfig,
    DecideConfig,
    DetectorConfig,
    LivenessConfig,
    MotionConfig,
    PrivacyConfig,
    RecordConfig,
    TrackConfig,
)


class Config(Section):
    """The whole configuration."""

    device: DeviceConfig = Field(default_factory=DeviceConfig)
    camera: tuple[CameraConfig, ...] = Field(default=(), max_length=16)
    detector: DetectorConfig = DetectorConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    liveness: LivenessConfig = LivenessConfig()
    motion: MotionConfig = MotionConfig()
    track: TrackConfig = TrackConfig()
    decide: DecideConfig = DecideConfig()
    record: RecordConfig = RecordConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    mqtt: MqttConfig = MqttConfig()
    spool: SpoolConfig = SpoolConfig()
    http: HttpConfig = HttpConfig()
    stats: StatsConfig = StatsConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _camera_names_are_unique(self) -> Config:
        names = [camera.name for camera in self.camera]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(f"two cameras are called {doubles[0]!r}; give each its own name")
        return self
