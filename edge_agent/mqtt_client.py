"""One paho client as this project wants it, and what its failures mean in words."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.config import MqttConfig, read_secret
from edge_agent.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Publication:
    """A message to send."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties | None = None


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message that came. `expired` messages never arrive: the broker holds them back."""

    topic: str
    payload: bytes
    retain: bool
    response_topic: str | None = None
    correlation: bytes | None = None

    @staticmethod
    def of(message: paho.MQTTMessage) -> Inbound:
        properties = message.properties
        return Inbound(
            message.topic,
            bytes(message.payload),
            bool(message.retain),
            getattr(properties, "ResponseTopic", None),
            getattr(properties, "CorrelationData", None),
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """kind: for metrics. is_final: trying again soon is useless."""

    kind: str
    words: str
    is_final: bool = False


def make_client(config: MqttConfig, client_id: str, will: Publication, connect_within_s: float) -> paho.Client:
    """A client with account, TLS and will set; reads the secrets anew, so that a renewed certificate is taken."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
    client.connect_timeout = connect_within_s
    client.will_set(will.topic, will.payload, will.qos, will.retain)
    if config.username is not None:
        client.username_pw_set(config.username, password(config))
    if config.tls.enabled:
        client.tls_set_context(tls_context(config))
    return client


def password(config: MqttConfig) -> str | None:
    """The account's password."""
    return None if config.password_file is None else read_secret(config.password_file, "mqtt.password_file")


def tls_context(config: MqttConfig) -> ssl.SSLContext:
    """Certificates are always verified, the host's name included."""
    tls = config.tls
    try:
        context = ssl.create_default_context(cafile=str(tls.ca_file) if tls.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"mqtt.tls.ca_file: cannot use {tls.ca_file}: {_short(error)}; give a PEM file") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert_file is not None and tls.key_file is not None:
        try:
            context.load_cert_chain(str(tls.cert_file), str(tls.key_file), password=lambda: "")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"mqtt.tls.cert_file: cannot use {tls.cert_file} with {tls.key_file}: {_short(error)}; give PEM files"
                " that belong together, the key without a password"
            ) from None
    return context


_TAKEN_OVER = 0x8E
_UNSPECIFIED = 0x80  # paho's word for an end without a DISCONNECT
_REFUSALS = {
    0x84: ("protocol", "it does not speak MQTT 5; use mosquitto 1.6 or newer, or another broker with MQTT 5"),
    0x85: ("account", "it refuses the client id; check its rules for client ids"),
    0x86: ("account", "user name or password is wrong; check mqtt.username and mqtt.password_file"),
    0x87: ("account", "this account may not connect; check mqtt.username, mqtt.password_file and the broker's rules"),
    0x8A: ("account", "it has banned this device; check the broker's rules"),
    _TAKEN_OVER: ("taken_over", "another client connects with this device's id; this one takes another"),
}


def taken_over(config: MqttConfig) -> Failure:
    """What it means where another client has our id."""
    return explain(ReasonCode(PacketTypes.DISCONNECT, identifier=_TAKEN_OVER), config)


def explain(cause: ReasonCode | Exception, config: MqttConfig) -> Failure:
    """What went wrong and what would do, for a person."""
    where = f"{config.host}:{config.port}"
    if isinstance(cause, ReasonCode):
        value = int(cause.value)
        if value in _REFUSALS:
            kind, words = _REFUSALS[value]
            return Failure(kind, f"broker {where}: {words}", is_final=kind != "taken_over")
        if value == _UNSPECIFIED:
            return Failure("dropped", f"broker {where} is gone: the connection broke")
        return Failure("lost", f"broker {where} is gone: {str(cause).lower()}")
    if isinstance(cause, ConfigError):
        return Failure("config", str(cause), is_final=True)
    if isinstance(cause, ssl.SSLCertVerificationError):
        words = f"its certificate is not accepted: {cause.verify_message}; check mqtt.tls.ca_file and the clock"
        return Failure("certificate", f"broker {where}: {words}")
    if isinstance(cause, ssl.SSLError):
        return Failure("tls", f"broker {where}: no TLS there ({_short(cause)}); check mqtt.port and mqtt.tls")
    if isinstance(cause, TimeoutError):
        return Failure("timeout", f"broker {where} does not answer; is it overloaded, or is this no MQTT broker?")
    if isinstance(cause, OSError):
        kind = "dns" if type(cause).__name__ in {"gaierror", "herror"} else "unreachable"
        return Failure(kind, f"broker {where} cannot be reached: {_short(cause)}; check mqtt.host and mqtt.port")
    return Failure("protocol", f"broker {where} sends what is not MQTT ({type(cause).__name__})")


def _short(error: Any) -> str:
    return str(getattr(error, "strerror", None) or getattr(error, "reason", None) or error)
