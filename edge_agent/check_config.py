"""`edge-agent check-config`: is the configuration fit to run, and what does it come to?

The effective configuration goes to stdout as TOML (or JSON) without secrets; what is wrong goes to stderr in one line,
with the exit status that `run` would end with. Files that it names are looked at too: secrets, certificates, models,
clips and folders; cameras and streams need not answer.
Models, named or shipped, are opened as `run` opens them, so that their golden inputs are run on this device too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from edge_agent.camera.address import Kind, kind_of
from edge_agent.config import Config, load, read_secret, read_token
from edge_agent.config.show import effective, to_toml
from edge_agent.errors import ConfigError, NotFoundError
from edge_agent.redact import redact_addresses
from edge_agent.run_command import need_a_camera


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, nargs="?", metavar="FILE", help="the configuration; default: --config")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration (TOML)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of TOML")
    parser.add_argument("--quiet", action="store_true", help="print nothing where all is well")


def run(args: argparse.Namespace) -> int:
    """0 where it is fit to run; else ConfigError (78), NotFoundError (66), ModelError (65), CameraError (69) or
    NoRuntimeError (69).
    """
    path = args.path or args.config
    config = load(path)
    if path is not None:
        need_a_camera(config, path)
    for key, file in files_named(config):
        if not file.exists():
            raise NotFoundError(f"{key}: there is no file {file}; check the path, or leave the key out")
    for camera in config.camera:
        kind_of(camera.source)
    _look_into_secrets(config)
    _open_models(config)
    _open_files(config)
    for remark in remarks(config):
        print(f"note: {remark}", file=sys.stderr)
    if not args.quiet:
        print(json.dumps(effective(config), indent=2) if args.json else to_toml(effective(config)))
    return 0


def files_named(config: Config) -> Iterator[tuple[str, Path]]:
    """Every file that the configuration names, with its key."""
    named = {
        "detector.model": config.detector.model,
        "classifier.model": config.classifier.model,
        "mqtt.tls.ca_file": config.mqtt.tls.ca_file,
        "mqtt.tls.cert_file": config.mqtt.tls.cert_file,
    }
    yield from ((key, path) for key, path in named.items() if path is not None)


def remarks(config: Config) -> Iterator[str]:
    """What is allowed but perhaps not meant."""
    if not config.camera:
        yield "no [[camera]] is named: `run` will play the sample clip, or what --source gives"
    if not config.mqtt.enabled:
        missing = "mqtt.enabled is false" if "host" in config.mqtt.model_fields_set else "mqtt.host is not set"
        yield f"{missing}: nothing is published"
    elif not config.mqtt.tls.enabled and config.mqtt.username is not None:
        yield "mqtt.tls.enabled is false: the password crosses the network in the clear"
    for camera in config.camera:
        if redact_addresses(camera.source) != camera.source:
            yield f"camera {camera.name}: the address holds a secret that others may read; use credentials_file"


def _look_into_secrets(config: Config) -> None:
    for index, camera in enumerate(config.camera):
        if camera.credentials_file is not None:
            key = f"camera[{index}].credentials_file"
            if ":" not in read_secret(camera.credentials_file, key):
                raise ConfigError(f"{key}: {camera.credentials_file} has no colon; write user:password")
    if config.http.token_file is not None:
        read_token(config.http.token_file)
    if config.mqtt.password_file is not None:
        read_secret(config.mqtt.password_file, "mqtt.password_file")
    if config.mqtt.tls.enabled:
        from edge_agent.mqtt_client import tls_context

        tls_context(config.mqtt)


def _open_models(config: Config) -> None:
    # OpenCV and the runtime are imported only now: a bad configuration is said at once
    from edge_agent.predictor import FaceMaskPredictor

    with _silent_libraries():
        FaceMaskPredictor(config)


def _open_files(config: Config) -> None:
    from edge_agent.camera import open_source

    with _silent_libraries():
        for camera in config.camera:
            if kind_of(camera.source) in {Kind.FILE, Kind.FOLDER}:
                open_source(camera).close()


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """The runtime praises its kernels on the process's stderr, past Python, and cannot be told not to."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
