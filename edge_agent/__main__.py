"""`python -m edge_agent` is `edge-agent`."""

from edge_agent.cli import run_and_exit

run_and_exit()
