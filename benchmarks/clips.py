"""Visits that the shipped models make of real clips, against what is known of them.

    python benchmarks/clips.py [FOLDER] [--config FILE]

FOLDER (unset: ../shared/data/clips) has the clips and truth.csv, whose `faces` is the number of people who show their
face, empty where nobody counted. `extra` are visits more than people: one counted twice, or nobody counted.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge_agent.build import running_agent
from edge_agent.config import load

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "clips"
# truth.csv says in words what each wears; as labels, without clips in which nobody counted
WORN = {
    "woman_masked.mp4": {"with_mask": 1},
    "man_bare.mp4": {"without_mask": 1},
    "woman_puts_on.mp4": {"with_mask": 1},
    "news_mixed.mp4": {"without_mask": 2, "with_mask": 1},
    "one_by_one_behind.mp4": {},
}


@dataclass(frozen=True)
class Outcome:
    """Visits of one clip. people: None where the truth does not say."""

    clip: str
    people: int | None
    visits: dict[str, int]
    cannot_tell: int
    frames: int

    @property
    def total(self) -> int:
        return sum(self.visits.values()) + self.cannot_tell

    @property
    def extra(self) -> int | None:
        return None if self.people is None else max(0, self.total - self.people)

    @property
    def missed(self) -> int | None:
        return None if self.people is None else max(0, self.people - self.total)

    @property
    def wrong(self) -> int | None:
        """Judged visits beyond those that wore that label, in a clip that has people."""
        worn = WORN.get(self.clip)
        return sum(max(0, n - worn.get(label, 0)) for label, n in self.visits.items()) if worn else None


def watch(clip: Path, people: int | None, config_file: Path | None = None) -> Outcome:
    """Run the agent over a clip."""
    overrides = {
        "camera": [{"name": "clip", "source": str(clip)}],
        "http": {"enabled": False},
        "record": {"enabled": False},
        "log": {"level": "error"},
    }
    config = load(config_file, overrides=overrides)
    with tempfile.TemporaryDirectory() as folder, running_agent(config, Path(folder)) as (agent, _):
        summary = agent.run()
    return Outcome(clip.name, people, summary["people"], summary["cannot_tell"], summary["frames"])


def truths(folder: Path) -> dict[str, int | None]:
    """Clip to the number of people who show their face, None where nobody counted."""
    with (folder / "truth.csv").open(newline="") as file:
        return {row["clip"]: int(row["faces"]) if row["faces"] else None for row in csv.DictReader(file)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=CLIPS)
    parser.add_argument("--config", type=Path)
    arguments = parser.parse_args()
    if not (arguments.folder / "truth.csv").is_file():
        sys.exit(f"{arguments.folder}/truth.csv is not there; give a folder with clips and their truth")
    print(f"$ {' '.join(['python', *sys.argv])}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, OpenCV {cv2.__version__}")
    print("clip                      frames  people  extra  missed  wrong  visits")
    for name, people in truths(arguments.folder).items():
        found = watch(arguments.folder / name, people, arguments.config)
        words = ", ".join(
            f"{n} {label}" for label, n in {**found.visits, "cannot_tell": found.cannot_tell}.items() if n
        )
        shown = ["-" if one is None else one for one in (people, found.extra, found.missed, found.wrong)]
        print(f"{name:24}{found.frames:>8}{shown[0]:>8}{shown[1]:>7}{shown[2]:>8}{shown[3]:>7}  {words or 'none'}")


if __name__ == "__main__":
    main()
