"""Logging an export back to the MLflow run that trained the model, and to its version in the registry."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from edge_agent.errors import MaskwatchError
from export.report import VariantReport
from export.source import Source, mlflow_client
from train.runs.registry import Registry


def log_back(source: Source, folder: Path, reports: list[VariantReport], say: Callable[[str], None]) -> None:
    """Files, report and figures onto the run; figures as tags of its versions in the registry.

    A run that MLflow does not know, or a store that is not there, is said, and nothing fails.
    """
    from mlflow.exceptions import MlflowException

    try:
        client = mlflow_client()
    except MaskwatchError as error:
        say(f"nothing was logged back: {error}")
        return
    try:
        client.get_run(source.run_id)
    except MlflowException:
        say(f"MLflow at {client.tracking_uri} has no run {source.run_id}; nothing was logged back")
        return
    for name in ("export.md", "export.json", *(report.written for report in reports)):
        client.log_artifact(source.run_id, str(folder / name), "export")
    for report in reports:
        for key, value in figures(report).items():
            client.log_metric(source.run_id, f"export.{report.variant}.{key}", value)
    say(f"logged back to the MLflow run {source.run_id}")
    for found in client.search_model_versions(f"run_id = '{source.run_id}'"):
        registry = Registry(client, found.name)
        registry.record_export(registry.version(str(found.version)), {r.variant: figures(r) for r in reports})
        say(f"tagged version {found.version} of {found.name} with the figures")


def figures(report: VariantReport) -> dict[str, float]:
    """The figures of one variant, by MLflow's rules for names."""
    gates = {_name(gate.name.split(" (")[0]): gate.figure for gate in report.outcome.gates}
    sizes = {"flatbuffer_bytes": float(report.flatbuffer_bytes), "passed": float(report.passed)}
    return gates | report.outcome.figures | sizes


def _name(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z_]+", "_", text)
