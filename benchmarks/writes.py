"""What a whole agent writes to the disk in a day: quiet and busy scene, broker there and away.

    python benchmarks/writes.py [--seconds 120] [--folder DIR]     # DIR: on the disk in question, not a tmpfs

Bytes are those that the kernel counts as written for the agent's process (write_bytes of /proc/PID/io: whole pages):
spool, history of the page, saved pictures. Busy: the sample clip again and again, a visit each 4.8 s.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from whole_agent import sample_frames, still_frames, watching

from broker_support import Broker, Subscriber, free_port, until

DAY_S = 86_400
SETTLE_S = 15.0  # start-up, first files


def written_bytes(pid: int) -> int:
    lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(lines["write_bytes"])


def measure(folder: Path, frames: list[bytes], connected: bool, seconds: float) -> tuple[float, int]:
    """Bytes a day, and events that a subscriber heard."""
    broker = Broker(folder).start() if connected else None
    subscriber = Subscriber(broker.port, topics=("maskwatch/door/events/#",)).start() if broker else None
    with watching(frames, broker.port if broker else free_port(), folder) as (agent, _):
        assert until((folder / "state" / "history.db").exists, 60)
        time.sleep(SETTLE_S)
        before, started, heard = written_bytes(agent.pid), time.monotonic(), len(subscriber.heard) if subscriber else 0
        time.sleep(seconds)
        per_day = (written_bytes(agent.pid) - before) * DAY_S / (time.monotonic() - started)
        heard = len(subscriber.heard) - heard if subscriber else 0
    if broker and subscriber:
        subscriber.stop()
        broker.stop()
    return per_day, heard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--folder", type=Path, default=None)
    args = parser.parse_args()
    print("| scene | broker | events heard | MB a day |\n|---|---|---|---|")
    for scene, frames in (("quiet", still_frames()), ("busy", sample_frames())):
        for connected in (True, False):
            with tempfile.TemporaryDirectory(dir=args.folder) as name:
                per_day, events = measure(Path(name), frames, connected, args.seconds)
            where = "there" if connected else "away"
            print(f"| {scene} | {where} | {events} | {per_day / 1e6:.1f} |", flush=True)


if __name__ == "__main__":
    main()
