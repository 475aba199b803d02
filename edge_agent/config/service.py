"""The sections of the service: device, MQTT, Home Assistant, the spool, HTTP, stats, log."""

from __future__ import annotations

import re
import socket
from typing import Literal

from pydantic import Field, model_validator

from edge_agent.config.base import FileName, HostName, Name, SecretFile, Section


def host_name() -> str:
    """The machine's name, made fit for a topic."""
    name = re.sub(r"[^a-z0-9_-]+", "-", socket.gethostname().split(".")[0].lower()).strip("-_")[:63]
    return name or "maskwatch"


class DeviceConfig(Section):
    """Who this is."""

    name: Name = Field(default_factory=host_name, description="the device's name in topics; unset: the host's name")


class TlsConfig(Section):
    """Encryption towards the broker."""

    enabled: bool = Field(default=False, description="speak TLS; use port 8883")
    ca_file: FileName | None = Field(
        default=None, description="who may have signed the broker's certificate; unset: the system's list"
    )
    cert_file: FileName | None = Field(
        default=None, description="this device's certificate, where the broker asks for one"
    )
    key_file: SecretFile | None = Field(default=None, description="the key of cert_file")

    @model_validator(mode="after")
    def _certificate_and_key(self) -> TlsConfig:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("give cert_file and key_file, or neither")
        if not self.enabled and (self.ca_file or self.cert_file):
            raise ValueError("a certificate is named but enabled is false; set enabled = true")
        return self


class HomeAssistantConfig(Section):
    """Home Assistant finds the device by itself."""

    enabled: bool = Field(default=True, description="publish device discovery")
    prefix: Name = Field(default="homeassistant", description="Home Assistant's discovery prefix")
    birth_jitter_s: float = Field(
        default=5.0, ge=0, le=300, description="after Home Assistant starts, answer within so many seconds, at random"
    )


class MqttConfig(Section):
    """The way to the dashboards."""

    enabled: bool = Field(default=False, description="talk to a broker; setting host turns it on")
    host: HostName = Field(
        default="localhost", min_length=1, max_length=253, description="the broker's name or address"
    )
    port: int = Field(default=1883, ge=1, le=65535, description="the broker's port; 8883 is usual with TLS")
    username: str | None = Field(default=None, description="the account at the broker")
    password_file: SecretFile | None = Field(default=None, description="a file that holds the account's password")
    keepalive_s: int = Field(
        default=30, ge=5, le=3600, description="the broker declares the device dead after 1.5 times this"
    )
    session_expiry_s: int = Field(default=3600, ge=0, le=604_800, description="the broker keeps our session so long")
    reconnect_max_s: float = Field(default=60, ge=1, le=3600, description="the longest pause between two attempts")
    snapshots: bool = Field(default=False, description="publish pictures (privacy.pictures still applies)")
    commands: bool = Field(default=True, description="listen to commands")
    tls: TlsConfig = Field(default=TlsConfig(), description="encryption")
    homeassistant: HomeAssistantConfig = Field(default=HomeAssistantConfig(), description="discovery")

    @model_validator(mode="before")
    @classmethod
    def _host_turns_it_on(cls, data: object) -> object:
        if isinstance(data, dict) and "host" in data and "enabled" not in data:
            return data | {"enabled": True}
        return data

    @model_validator(mode="after")
    def _account(self) -> MqttConfig:
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file is set and username is not; give both")
        return self


class SpoolConfig(Section):
    """Events wait on disk until the broker has them."""

    max_events: int = Field(
        default=100_000, ge=1, le=10_000_000, description="above it the oldest are dropped, and counted"
    )
    max_bytes: int = Field(default=100_000_000, ge=100_000, description="above it the oldest are dropped, and counted")
    max_age_days: float = Field(default=14, gt=0, le=3660, description="older ones are dropped, and counted")
    commit_every_s: float = Field(
        default=1.0, ge=0, le=60, description="a power cut loses at most the events of so many seconds; 0: commit each"
    )


class HttpConfig(Section):
    """The device's own page, its API, health and metrics."""

    enabled: bool = Field(default=True, description="serve at all")
    host: HostName = Field(
        default="127.0.0.1", min_length=1, description="the address to listen on; any but loopback needs token_file"
    )
    port: int = Field(default=8080, ge=0, le=65535, description="the port to listen on; 0: any free one")
    token_file: SecretFile | None = Field(default=None, description="a file with the token that visitors must give")
    live: bool = Field(default=True, description="show the camera's picture on the page")
    live_max_fps: float = Field(default=10, gt=0, le=60, description="pictures a second for a viewer, at most")
    live_max_width_px: int = Field(default=960, ge=64, le=8192, description="wider pictures are shown smaller")
    live_quality: int = Field(default=70, ge=10, le=100, description="JPEG quality of the live view")
    allowed_hosts: tuple[HostName, ...] = Field(
        default=(), max_length=32, description="more names that visitors type for this device, say behind a proxy"
    )
    max_streams: int = Field(default=24, ge=1, le=200, description="live views and event streams open at once")
    predict: bool = Field(default=True, description="answer POST /predict and /batch_predict")
    predict_timeout_s: float = Field(default=60, gt=0, le=600, description="a picture may wait and take so long")
    max_waiting: int = Field(default=4, ge=1, le=100, description="pictures that may wait; more are refused with 429")
    max_image_bytes: int = Field(default=12_000_000, ge=1000, le=200_000_000, description="larger pictures are refused")
    max_image_pixels: int = Field(
        default=25_000_000, ge=1000, le=200_000_000, description="pictures of more pixels are refused undecoded"
    )
    max_batch_files: int = Field(default=50, ge=1, le=1000, description="pictures in one POST /batch_predict")
    max_batch_bytes: int = Field(
        default=32_000_000, ge=1000, le=500_000_000, description="bytes in one POST /batch_predict, held in memory"
    )

    @model_validator(mode="after")
    def _open_to_others_needs_a_token(self) -> HttpConfig:
        if self.enabled and self.token_file is None and self.host not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError(f"host is {self.host!r}, which others can reach; set token_file, or host = '127.0.0.1'")
        return self


class StatsConfig(Section):
    """How often figures are published."""

    interval_s: float = Field(default=10.0, ge=1, le=3600, description="seconds between two stats messages")


class LogConfig(Section):
    """What is written to stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least important line written"
    )
    json_lines: bool = Field(default=False, description="one JSON object a line; --log-json does the same")
    repeat_every_s: float = Field(
        default=60.0, ge=0, le=86_400, description="the same line is written once in so many seconds"
    )
