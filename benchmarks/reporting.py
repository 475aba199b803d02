"""Figures of the reporting side, with a real mosquitto: latency, rate, start-up and memory with a full spool, CPU.

python benchmarks/reporting.py [--json FILE] [--events 100000] [--seconds 30] [--visits 30]

appearance: from a person's coming into the picture of a camera to the message `new` at the subscriber, through a whole
agent; latency: the part of it that is reporting.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from whole_agent import PERIOD_S, TRUTH, appearances_s, sample_frames, watching

from broker_support import Broker, Subscriber, free_port, until, visit
from edge_agent.config import SpoolConfig, load
from edge_agent.messages import Info, LoopFigures
from edge_agent.report import Reporter
from edge_agent.spool import Spool

INFO = Info(version="1", labels=("with_mask", "without_mask", "mask_weared_incorrect"))
TOPIC = "maskwatch/door/events/hall"
DRAIN_S = 20  # the rate is what counts, not the end


def resident_mb() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def reporting(port: int, folder: Path) -> Iterator[Reporter]:
    config = load(
        None,
        {},
        {
            "device": {"name": "door"},
            "camera": [{"name": "hall", "source": "0"}],
            "mqtt": {"host": "127.0.0.1", "port": port, "reconnect_max_s": 1},
            "spool": {"max_events": 1_000_000, "max_bytes": 1_000_000_000},
        },
    )
    reporter = Reporter(config, folder, INFO)
    reporter.start()
    try:
        yield reporter
    finally:
        reporter.close()


def appearance(folder: Path, visits: int) -> dict[str, float]:
    """A whole agent before a camera that shows the sample again and again."""
    broker, arrived = Broker(folder).start(), []
    subscriber = Subscriber(broker.port, topics=("maskwatch/door/events/hall",)).start()
    subscriber.client.on_message = lambda _c, _u, m: arrived.append((time.monotonic(), json.loads(m.payload)["type"]))
    with watching(sample_frames(), broker.port, folder) as (_, camera):
        first_s = time.monotonic() + PERIOD_S  # the first round is for starting
        seconds = PERIOD_S * (2 + visits / len(TRUTH["visits"]))
        until(lambda: sum(1 for at, kind in arrived if kind == "new" and at > first_s) >= visits, seconds)
        people_s = [moment for moment in appearances_s(camera, time.monotonic()) if moment > first_s]
    subscriber.stop()
    broker.stop()
    told_s = [at for at, kind in arrived if kind == "new"]
    next_told_s = (min((at for at in told_s if at > person), default=math.inf) - person for person in people_s[:-1])
    stays_s = TRUTH["visits"][0]["to_s"] - TRUTH["visits"][0]["from_s"]
    took_s = sorted(taken for taken in next_told_s if taken < stays_s)
    return {
        "people": len(people_s) - 1,
        "told_while_in_view": len(took_s),
        "p50_s": statistics.median(took_s),
        "p95_s": took_s[int(len(took_s) * 0.95)],
        "worst_s": took_s[-1],
    }


def latency(folder: Path) -> dict[str, float]:
    """From reporter.event() to the subscriber's callback, 300 events, 20 a second."""
    broker, arrived = Broker(folder).start(), {}
    subscriber = Subscriber(broker.port, topics=(TOPIC,)).start()
    subscriber.client.on_message = lambda _c, _u, m: arrived.setdefault(
        json.loads(m.payload)["id"], time.perf_counter()
    )
    sent: dict[str, float] = {}
    with reporting(broker.port, folder / "latency") as reporter:
        until(lambda: reporter._outlet.is_up)
        for number in range(300):
            sent[f"visit-{number}"] = time.perf_counter()
            reporter.event(visit(number))
            time.sleep(0.05)
        until(lambda: len(arrived) == 300)
    subscriber.stop()
    broker.stop()
    took_ms = sorted((arrived[key] - sent[key]) * 1e3 for key in arrived)
    return {"n": len(took_ms), "p50_ms": statistics.median(took_ms), "p95_ms": took_ms[int(len(took_ms) * 0.95)]}


def through_the_spool(folder: Path, events: int) -> dict[str, float]:
    """A spool of `events` filled while the broker is away; started again; drained into a broker."""
    port = free_port()
    before_mb = resident_mb()
    with reporting(port, folder / "state") as reporter:
        started = time.perf_counter()
        worst_s = 0.0
        for number in range(events):
            at = time.perf_counter()
            reporter.event(visit(number))
            worst_s = max(worst_s, time.perf_counter() - at)
        event_s = time.perf_counter() - started
        until(lambda: reporter._spool.state().unwritten == 0, 120)
        away_mb = resident_mb()
        size_mb = (folder / "state" / "spool.db").stat().st_size / 1e6
    started = time.perf_counter()
    spool = Spool(folder / "state" / "spool.db", SpoolConfig(max_events=1_000_000, max_bytes=1_000_000_000))
    first = spool.take(1)
    open_s = time.perf_counter() - started
    waiting = spool.state().events
    spool.close()
    broker = Broker(folder, port=port).start()
    with reporting(port, folder / "state") as reporter:
        until(lambda: reporter._outlet.is_up)
        started = time.perf_counter()
        until(lambda: reporter._spool.state().events == 0, DRAIN_S)
        drain_s = time.perf_counter() - started
        acknowledged = reporter._outlet.counts[1]
    broker.stop()
    return {
        "events": events,
        "event_calls_per_s": events / event_s,
        "slowest_event_call_ms": worst_s * 1e3,
        "memory_growth_mb": away_mb - before_mb,
        "file_mb": size_mb,
        "waiting_at_start": waiting,
        "start_up_s": open_s,
        "first_row_found": len(first),
        "acknowledged": acknowledged,
        "drained_per_s": acknowledged / drain_s,
    }


def cpu(folder: Path, seconds: float) -> dict[str, float]:
    """CPU of this process at 10 events a second and a stats message a second, in percent of one core."""
    broker = Broker(folder).start()
    with reporting(broker.port, folder / "cpu") as reporter:
        until(lambda: reporter._outlet.is_up)
        used, started = time.process_time(), time.perf_counter()
        number = 0
        while time.perf_counter() - started < seconds:
            reporter.event(visit(number))
            if number % 10 == 0:
                reporter.stats(LoopFigures(frames=number))
            number += 1
            time.sleep(max(0.0, started + number / 10 - time.perf_counter()))
        percent = 100 * (time.process_time() - used) / (time.perf_counter() - started)
    broker.stop()
    return {"seconds": seconds, "events": number, "cpu_percent": percent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--visits", type=int, default=30)
    args = parser.parse_args()
    parts: dict[str, Callable[[Path], dict[str, float]]] = {
        "appearance": lambda folder: appearance(folder, args.visits),
        "latency": latency,
        "spool": lambda folder: through_the_spool(folder, args.events),
        "cpu": lambda folder: cpu(folder, args.seconds),
    }
    found: dict[str, object] = {"load_1min": os.getloadavg()[0], "cores": os.cpu_count()}
    for name, part in parts.items():
        with tempfile.TemporaryDirectory() as folder:
            figures = part(Path(folder))
        found[name] = figures
        print(name + ": " + ", ".join(f"{key} {value:.4g}" for key, value in figures.items()), flush=True)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
