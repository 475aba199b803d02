"""What the reporting side writes to the disk in a day: quiet and busy scene, broker there and away.

    python benchmarks/writes.py [--seconds 60] [--folder DIR]     # DIR: on the disk in question, not a tmpfs

Bytes are those that the kernel counts as written for this process (write_bytes of /proc/self/io: whole pages).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from broker_support import Broker, free_port, until, visit
from edge_agent.config import load
from edge_agent.messages import Info, LoopFigures
from edge_agent.report import Reporter

DAY_S = 86_400
BUSY_EVENTS_PER_S = 0.5  # ten visits a minute, each new, update, end


def written_bytes() -> int:
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["write_bytes"])


def measure(folder: Path, port: int, events_per_s: float, seconds: float, connected: bool) -> tuple[float, int]:
    """Bytes a day, and events."""
    config = load(
        None,
        {},
        {"device": {"name": "door"}, "camera": [{"source": "0"}], "mqtt": {"host": "127.0.0.1", "port": port}},
    )
    reporter = Reporter(
        config, folder, Info(version="1", labels=("with_mask", "without_mask", "mask_weared_incorrect"))
    )
    reporter.start()
    if connected:
        until(lambda: reporter._outlet.is_up)
    time.sleep(1)
    before, started, number = written_bytes(), time.monotonic(), 0
    while (elapsed_s := time.monotonic() - started) < seconds:
        if number < elapsed_s * events_per_s:
            reporter.event(visit(number))
            number += 1
        if reporter.stats_due():
            reporter.stats(LoopFigures(frames=number))
        time.sleep(0.05)
    time.sleep(1.2)  # the last commit
    per_day = (written_bytes() - before) * DAY_S / (time.monotonic() - started)
    reporter.close()
    return per_day, number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--folder", type=Path, default=None)
    args = parser.parse_args()
    print("| scene | broker | events | MB a day |\n|---|---|---|---|")
    for scene, rate in (("quiet", 0.0), ("busy", BUSY_EVENTS_PER_S)):
        for connected in (True, False):
            with tempfile.TemporaryDirectory(dir=args.folder) as name:
                folder = Path(name)
                broker = Broker(folder).start() if connected else None
                port = broker.port if broker else free_port()
                per_day, events = measure(folder / "state", port, rate, args.seconds, connected)
                if broker:
                    broker.stop()
            where = "there" if connected else "away"
            print(f"| {scene} | {where} | {events} | {per_day / 1e6:.1f} |", flush=True)


if __name__ == "__main__":
    main()
