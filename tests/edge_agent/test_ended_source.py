"""A clip that is over while another camera goes on: its people have left, and nothing is wrong with it."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from broker_support import until
from faked_agent import faked_agent

CONFIG = """
[[camera]]
name = "short"
source = "{folder}/short.avi"
realtime = true
[[camera]]
name = "long"
source = "{folder}/long.avi"
realtime = true
[decide]
min_evidence_s = 0.1
"""


def write_clip(path: Path, seconds: int) -> None:
    """Somebody in a mask, a red square for the fakes, walks to the right at 10 frames a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 120))
    for index in range(10 * seconds):
        bgr = np.zeros((120, 320, 3), np.uint8)
        left = 10 + 2 * index
        bgr[30:80, left : left + 50] = (0, 0, 255)
        writer.write(bgr)
    writer.release()


def test_who_is_in_view_at_the_end_of_a_clip_has_left_though_another_goes_on(tmp_path: Path) -> None:
    write_clip(tmp_path / "short.avi", 2)
    write_clip(tmp_path / "long.avi", 8)
    with faked_agent(tmp_path, CONFIG.format(folder=tmp_path)) as agent:
        short, long = agent.parts.lanes["short"], agent.parts.lanes["long"]
        began_utc_s = time.time()
        events: list[dict[str, Any]] = []
        agent.parts.web.note_event = events.append  # type: ignore[method-assign, assignment]
        running = threading.Thread(target=agent.run)
        running.start()
        try:
            assert until(lambda: agent.parts.health.report().cameras.get("short") == "offline", within_s=20)
            seen = events[-1]
            assert agent.figures()["people"]["with_mask"] >= 1
            assert running.is_alive()
            assert not long.has_ended
            assert (short.view.tracks, short.view.reason) == ((), "the clip or folder has ended")
            assert agent.parts.health.report().state == "ok"
            assert agent.parts.health.report().cameras["short"] == "offline"
        finally:
            running.join(60)
        assert (seen["type"], seen["camera"], seen["counted_as"]) == ("end", "short", "with_mask")
        assert abs(datetime.fromisoformat(seen["first_seen"]).timestamp() - began_utc_s) < 1.5
        assert agent.figures()["people"]["with_mask"] == 2
