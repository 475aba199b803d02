"""`edge-agent`: the command line. Everything heavy is imported only by the command that needs it."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence

from edge_agent.errors import exit_status

COMMANDS = {
    "run": ("edge_agent.run_command", "watch cameras, a video file or a folder of images"),
    "predict": ("edge_agent.predict_command", "look at image files"),
    "check-config": ("edge_agent.check_config", "check a configuration and show what it comes to"),
    "models": ("edge_agent.models_command", "inspect and verify model files"),
    "bench": ("edge_agent.bench", "measure this device"),
    "version": ("edge_agent.version_command", "print versions of the agent and of what it runs on"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status. Errors become one line on stderr, never a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return exit_status("edge-agent", lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    args = _parser(arguments).parse_args(arguments)
    return int(args.run(args))


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-agent",
        description="Counts who wears a face mask, who wears it badly and who wears none.",
        epilog="Exit status: 2 usage, 65 bad model or image, 66 not there, 69 port or device taken, or a file failed, "
        "78 bad config",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # Only the command that was given is imported: `version` must not wait for OpenCV.
    given = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module_name, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == given:
            module = importlib.import_module(module_name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def run_and_exit() -> None:
    """The console script."""
    if sys.argv[1:2] == ["run"]:
        # "read the configuration again" comes too early while it is read for the first time, and must not end it
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.exit(main())


if __name__ == "__main__":
    run_and_exit()
