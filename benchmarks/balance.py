"""What balancing and drawn masks are worth: the same photographs, split, seed and network, another `[balance]` each.

    python -m benchmarks.balance [--config train/configs/shared.toml] [--seeds 1 2] [--docs docs]

Each way trains a head on the frozen backbone; a few go on with the backbone's late blocks open, as SMOTE makes points
between pooled features and has no meaning there. Judged on real validation faces of the sets that label every class;
the drawn masks are in training alone. Seeds are pooled: n counts each face once a seed, intervals and differences are
drawn by photograph, all of a photograph's answers together. What is trained is kept, so a stopped run goes on.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import Any

import numpy as np

from edge_agent.errors import exit_status
from train.runs import predictions, stats

SHARES = {"with_mask": 0.40, "without_mask": 0.34, "mask_weared_incorrect": 0.26}
WAYS: dict[str, dict[str, Any]] = {
    "nothing": {"method": "none"},
    "class weights": {"method": "class_weights"},
    "SMOTE on features": {"method": "smote"},
    "sampling": {"method": "sampling", "shares": SHARES},
    "sampling, 1/4 of the class drawn": {"method": "sampling", "shares": SHARES, "synthetic_bad": 0.25},
    "sampling, 1/2 of the class drawn": {"method": "sampling", "shares": SHARES, "synthetic_bad": 0.5},
}
LATE = ("sampling", "sampling, 1/2 of the class drawn")
HEAD = {"name": "head", "epochs": 12, "learning_rate": 1e-3, "banks": 2}
OPEN = {
    "name": "late",
    "epochs": 6,
    "learning_rate": 2e-4,
    "banks": 2,
    "open_from": "block_13",
    "schedule": "cosine",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("train/configs/shared.toml"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--views", type=int, default=5000, help="in a bank")
    parser.add_argument("--docs", type=Path, help="folder for balance.md")
    args = parser.parse_args()
    return exit_status("balance", lambda: run(args), "stopped")


def run(args: argparse.Namespace) -> int:
    rows = [(name, phases, answers(args, WAYS[name], phases)) for name, phases in ways()]
    text = page(rows, args)
    print(text)
    if args.docs:
        (args.docs / "balance.md").write_text(text, "utf-8")
    return 0


def ways() -> list[tuple[str, tuple[dict[str, Any], ...]]]:
    """A name of WAYS and the phases of each training."""
    return [(name, (HEAD,)) for name in WAYS] + [(name, (HEAD, OPEN)) for name in LATE]


def answers(args: argparse.Namespace, balance: dict[str, Any], phases: tuple[dict[str, Any], ...]) -> stats.F64:
    """Confusion matrices by photograph over all seeds, float64 (photographs, labels, labels)."""
    from train.config import read_config
    from train.pipeline import train

    total: Any = 0
    for seed in args.seeds:
        config = read_config(
            args.config, name="balance", seed=seed, bank_size=args.views, balance=balance, phase=phases
        )
        found = predictions.load(train(config, track=False).folder / "val_predictions.npz")
        total = total + found.matrices(found.full_sets())
    return np.asarray(total, float)


def page(rows: list[tuple[str, tuple[dict[str, Any], ...], stats.F64]], args: argparse.Namespace) -> str:
    """The table as Markdown."""
    bad = stats.recall_of(2)
    lines = [
        "# Balancing, and what drawn masks are worth",
        "",
        f"    python -m benchmarks.balance --seeds {' '.join(map(str, args.seeds))} --views {args.views}",
        "",
        (__doc__ or "").split("\n\n", 2)[2].strip(),
        "",
        f"{int(rows[0][2].sum())} answers ({len(args.seeds)} seeds) on {len(rows[0][2])} photographs, "
        f"{int(rows[0][2].sum(0)[2].sum())} of them about badly worn masks; {platform.machine()}.",
        "",
        "| balance | trained | macro-F1 (95 %) | bad recall (95 %) | bad precision | macro-F1 gained on the first |",
        "|---|---|---|---|---|---|",
    ]
    first: dict[int, stats.F64] = {}
    for name, phases, matrices in rows:
        base = first.setdefault(len(phases), matrices)
        gained = stats.paired_difference(matrices, base)
        against = "" if base is matrices else f"{gained.value:+.3f} [{gained.low:+.3f}, {gained.high:+.3f}]"
        precision = stats.precision_of(2)(matrices.sum(0)[None])[0]
        trained = "head" if len(phases) == 1 else "head, then blocks 13 to 16"
        lines.append(
            f"| {name} | {trained} | {stats.interval(matrices, stats.macro_f1)} | {stats.interval(matrices, bad)} "
            f"| {precision:.3f} | {against} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
