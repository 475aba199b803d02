"""`python -m train`: the workstation's commands, one module each, imported only when asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys

from edge_agent.errors import exit_status

COMMANDS = {
    "train": ("train.train_command", "train a classifier (the default)"),
    "check-data": ("train.check_command", "check the photographs, labels and split"),
    "evaluate": ("train.evaluate_command", "measure a trained classifier, write its tables"),
    "train-detector": ("train.detector.train_command", "train the face detector"),
    "evaluate-detector": ("train.detector.evaluate_command", "measure a face detector"),
    "train-face": ("train.face.train_command", "teach a classifier to tell a face from none"),
    "evaluate-face": ("train.face.evaluate_command", "measure whether a classifier tells a face from none"),
    "draw-people": ("train.people.draw_command", "draw people to train the face detector with"),
    "search": ("train.runs.search_command", "search for better settings"),
    "keep": ("train.keep_command", "write a run's weights small enough to commit"),
    "promote": ("train.runs.promote_command", "make a run the one that ships"),
    "rollback": ("train.runs.rollback_command", "go back to the model before"),
    "compare": ("train.runs.compare_command", "compare runs"),
    "reproduce": ("train.runs.reproduce_command", "train a recorded run again"),
    "pick": ("train.runs.pick_command", "pick pictures worth labelling"),
}

RESUMING = ("train", "train-detector", "search")


def main(argv: list[str] | None = None) -> int:
    """Run a command; an error of ours becomes one line and its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] not in COMMANDS and words[0] not in ("-h", "--help"):
        words.insert(0, "train")
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, summary) in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary)
        if words and words[0] == name:
            importlib.import_module(module).add_arguments(sub)
    args = parser.parse_args(words or ["--help"])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    hint = "; the same command goes on from what it last saved" if args.command in RESUMING else ""
    run = importlib.import_module(COMMANDS[args.command][0]).run
    return exit_status("train", lambda: int(run(args)), f"stopped{hint}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that half written files are removed
    sys.exit(main())
