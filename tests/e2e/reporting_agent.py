"""The reporting side of an agent in a process of its own, to be killed: events as fast as asked for, into a real spool.

Every id that a commit has put on disk is written, independently of the spool, to a log before anything else happens.
"""

import json
import os
import sys
import time
from pathlib import Path

from broker_support import visit
from edge_agent import spool_file
from edge_agent.config import load
from edge_agent.messages import Info
from edge_agent.report import Reporter


def log_commits(path: Path) -> None:
    """Note each message_id when the transaction that holds it is on disk."""
    write = spool_file.SpoolFile.write
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write_and_log(self, rows, gone, ran_s):
        write(self, rows, gone, ran_s)
        if rows:
            os.write(file, "".join(json.loads(row.payload)["message_id"] + "\n" for row in rows).encode())

    spool_file.SpoolFile.write = write_and_log


def main(port: int, state_dir: Path, per_second: float, seconds: float, commit_every_s: float) -> None:
    """seconds 0: send what the spool holds, then end."""
    log_commits(state_dir / "committed.log")
    config = load(
        None,
        {},
        {
            "device": {"name": "door"},
            "camera": [{"name": "hall", "source": "0"}],
            "mqtt": {"host": "127.0.0.1", "port": port, "reconnect_max_s": 1},
            "spool": {"commit_every_s": commit_every_s},
        },
    )
    reporter = Reporter(config, state_dir, Info(version="1", labels=("with_mask", "without_mask", "other")))
    reporter.start()
    ends = time.monotonic() + seconds
    number = 0
    while time.monotonic() < ends:
        reporter.event(visit(number))
        number += 1
        time.sleep(1 / per_second)
    while seconds == 0 and reporter._spool.state().events:
        time.sleep(0.05)
    reporter.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), *map(float, sys.argv[3:6]))
