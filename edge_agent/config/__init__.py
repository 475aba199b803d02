"""The configuration: one TOML file, environment variables over it, overrides over both; frozen once loaded.

    config = load(Path("/etc/maskwatch/agent.toml"))         # or load(None): defaults and the environment alone
    config.mqtt.host, config.camera[0].source

Each stage's constructor takes its own section. `MASKWATCH_MQTT__HOST=broker` sets `mqtt.host`,
`MASKWATCH_CAMERA__0__SOURCE=0` sets `camera[0].source`. Secrets are never values here: they lie in files.
"""

from __future__ import annotations

from edge_agent.config.base import FileName, HostName, Name, Places, SecretFile, Section, SourceName, names_file
from edge_agent.config.load import load, read_secret, read_token
from edge_agent.config.root import Config
from edge_agent.config.service import (
    DeviceConfig,
    HomeAssistantConfig,
    HttpConfig,
    LogConfig,
    MqttConfig,
    SpoolConfig,
    StatsConfig,
    TlsConfig,
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
    ZoneConfig,
)

__all__ = [
    "CameraConfig",
    "ClassifierConfig",
    "Config",
    "DecideConfig",
    "DetectorConfig",
    "DeviceConfig",
    "FileName",
    "HomeAssistantConfig",
    "HostName",
    "HttpConfig",
    "LivenessConfig",
    "LogConfig",
    "MotionConfig",
    "MqttConfig",
    "Name",
    "Places",
    "PrivacyConfig",
    "RecordConfig",
    "SecretFile",
    "Section",
    "SourceName",
    "SpoolConfig",
    "StatsConfig",
    "TlsConfig",
    "TrackConfig",
    "ZoneConfig",
    "load",
    "names_file",
    "read_secret",
    "read_token",
]
