"""Proving a file in every runtime it claims, each in a process and, where need be, an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_agent.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]
LEGACY_PYTHON = ROOT / ".venv-legacy" / "bin" / "python"
RUNTIMES = ("litert", "tflite-runtime")
WAYS = tuple((xnnpack, threads) for xnnpack in (True, False) for threads in (1, 2))


@dataclass(frozen=True, slots=True)
class Trial:
    """One file in one runtime, one way: how far its golden outputs were off, or why it did not run."""

    runtime: str
    version: str
    xnnpack: bool
    threads: int
    largest: float
    mean: float
    golden_ms: float
    fault: str = ""

    @property
    def passed(self) -> bool:
        return not self.fault

    def to_json(self) -> dict[str, Any]:
        return {"passed": self.passed, **asdict(self)}


def pythons(claimed: tuple[str, ...], legacy: Path = LEGACY_PYTHON) -> dict[str, Path]:
    """The interpreter of each claimed runtime's environment. Raises UsageError where one is missing."""
    found = {"litert": Path(sys.executable), "tflite-runtime": legacy}
    for name in claimed:
        if name not in found:
            raise UsageError(f"no runtime is called {name!r}; give some of {', '.join(RUNTIMES)}")
        if not found[name].is_file():
            raise UsageError(f"{name} has no environment at {found[name]}; run make legacy-env, or give --claim litert")
    return {name: found[name] for name in claimed}


def trials(file: Path, claimed: dict[str, Path]) -> list[Trial]:
    """Every claimed runtime, with and without XNNPACK, with one thread and two."""
    return [
        _trial(file, name, python, xnnpack, threads) for name, python in claimed.items() for xnnpack, threads in WAYS
    ]


def _trial(file: Path, name: str, python: Path, xnnpack: bool, threads: int) -> Trial:
    command = [str(python), "-m", "edge_agent", "models", "verify", "--json", "--in-process"]
    command += ["--threads", str(threads), str(file)]
    done = subprocess.run(
        command + ([] if xnnpack else ["--no-xnnpack"]),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return Trial(name, "", xnnpack, threads, 0.0, 0.0, 0.0, lines[-1].removeprefix("edge-agent: "))
    answer = json.loads(done.stdout.splitlines()[-1])
    ran, version = answer["runtime"].split(" ", 1)
    fault = "" if ran == name else f"the environment {python.parent.parent} runs {ran}, not {name}"
    return Trial(
        name,
        version,
        xnnpack,
        threads,
        answer["largest_difference"],
        answer["mean_difference"],
        answer["golden_ms"],
        fault,
    )
