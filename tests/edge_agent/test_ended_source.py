"""A clip that is over while another camera goes on: its people have left, and nothing is wrong with it."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from broker_support import until
from faked_agent import faked_agent, walking_clip

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


def test_who_is_in_view_at_the_end_of_a_clip_has_left_though_another_goes_on(tmp_path: Path) -> None:
    walking_clip(tmp_path / "short.avi", 20)
    walking_clip(tmp_path / "long.avi", 80)
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
