"""Duplicates, misses, false visits and switches on made scenes.

python benchmarks/tracking.py [--seeds 50] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from scene import KINDS, Result, make, play


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="scenes of each kind and frame rate")
    parser.add_argument("--fps", type=float, nargs="+", default=[5, 10, 25])
    parser.add_argument("--first-seed", type=int, default=1000, help="the tests use 0 and up")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    arguments = parser.parse_args()
    rows, total = [], Result()
    print("scene           fps  people  duplicate  missed  false  switch  wrong  undecided")
    began_s = time.process_time()
    for kind in KINDS:
        for fps in arguments.fps:
            result = Result()
            for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
                result += play(make(kind, seed, fps))
            total += result
            rows.append({"scene": kind, "fps": fps, **_figures(result)})
            print(_line(kind, f"{fps:g}", result))
    print(_line("all", "", total))
    print(f"{arguments.seeds} scenes a row, {time.process_time() - began_s:.0f} s of processor time")
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows, "all": _figures(total)}, indent=2) + "\n")


def _figures(result: Result) -> dict[str, int]:
    names = ("people", "duplicates", "misses", "false_visits", "switches", "wrong_labels", "undecided")
    return {name: getattr(result, name) for name in names}


def _line(kind: str, fps: str, r: Result) -> str:
    return (
        f"{kind:14}{fps:>5}{r.people:>8}{r.duplicates:>11}{r.misses:>8}{r.false_visits:>7}"
        f"{r.switches:>8}{r.wrong_labels:>7}{r.undecided:>11}"
    )


if __name__ == "__main__":
    main()
