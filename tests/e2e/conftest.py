"""A broker and a network camera that shows the sample clip, for each test that asks; a module may have its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker_support import Broker
from page_support import Camera, sample_frames


@pytest.fixture(scope="session")
def frames() -> tuple[bytes, ...]:
    """The sample clip as JPEG pictures."""
    return sample_frames()


@pytest.fixture
def camera(frames: tuple[bytes, ...]) -> Iterator[Camera]:
    """Plugged in."""
    camera = Camera(frames)
    camera.plug()
    yield camera
    camera.unplug()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path).start()
    yield broker
    broker.stop()
