"""The way to MLflow: a client that fails soon and clearly, and never makes a store by mistake."""

from __future__ import annotations

import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_agent.errors import MaskwatchError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ANSWER_WITHIN_S = 5.0
MODEL_FILE, RECORD_FILE = "model.keras", "model.json"
SQLITE = b"SQLite format 3\0"
MODEL_FOLDERS = ("", "model", "export", "artifacts")


class TrackingError(MaskwatchError):
    """MLflow refused; the message says what was asked."""

    exit_status = 69


def refuse_absent_store(uri: str, may_be_made: bool = False) -> None:
    """Raise where nothing answers at `uri`; MLflow itself would retry for minutes, or make an empty store.

    may_be_made: a SQLite file or a folder that is not there yet is no error.
    """
    if uri.startswith(("http://", "https://")):
        _ask(uri)
    elif uri.startswith(("postgresql", "mysql", "mssql")):
        _connect(uri)
    elif uri.startswith("databricks"):
        return
    elif uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///").split("?")[0])
        if path.is_file():
            with path.open("rb") as file:
                if file.read(len(SQLITE)) not in (SQLITE, b""):
                    raise UnavailableError(f"{path} is no MLflow store, nor any SQLite file; set MLFLOW_TRACKING_URI")
        elif not may_be_made:
            raise NotFoundError(
                f"no MLflow store {path}; train a model first, or set MLFLOW_TRACKING_URI to where the runs are"
            )
    elif not may_be_made and not Path(uri.removeprefix("file://")).is_dir():
        raise NotFoundError(f"no MLflow store {uri}; set MLFLOW_TRACKING_URI to where the runs are")


def _connect(uri: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    seconds = {} if uri.startswith("mssql") else {"connect_timeout": round(ANSWER_WITHIN_S)}
    try:
        create_engine(uri, connect_args=seconds).connect().close()
    except (SQLAlchemyError, ImportError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise UnavailableError(
            f"no MLflow store at {hidden(uri)}: {reason}; start the database or set MLFLOW_TRACKING_URI"
        ) from error


def _ask(uri: str) -> None:
    bare = re.sub(r"//[^/@]*@", "//", uri)
    try:
        # A password in the URL is for MLflow; /health needs none.
        with urllib.request.urlopen(f"{bare.rstrip('/')}/health", timeout=ANSWER_WITHIN_S):
            return
    except urllib.error.HTTPError as error:
        raise UnavailableError(f"{bare} answers {error.code} at /health; is it an MLflow server?") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UnavailableError(
            f"no MLflow server answers at {bare}: {reason}; start it or set MLFLOW_TRACKING_URI"
        ) from error


def client(uri: str, must_exist: bool = True) -> MlflowClient:
    """A client for `uri`, also made MLflow's own default.

    must_exist: a SQLite file that is not there is refused instead of made; a server has to answer in any case.
    """
    refuse_absent_store(uri, may_be_made=not must_exist)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # files of a few MB: noise among the figures
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    with translated(f"opening the MLflow store {hidden(uri)}"):
        return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


def hidden(url: str) -> str:
    """A database's URL without its password."""
    return re.sub(r"(//[^:/@]*):[^@]*@", r"\1:***@", url)


def is_missing(error: Exception) -> bool:
    """MLflow says that a thing is not there; a wrong password or a server in trouble says nothing of it."""
    return getattr(error, "error_code", "") in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """MLflow's errors, as ours; `what` says what was asked for."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        kind = NotFoundError if is_missing(error) else TrackingError
        raise kind(f"{what}: {' '.join(str(error).split())[:300]}") from error


def find_run(mlflow_client: MlflowClient, given: str) -> Run:
    """A run by its id, by the beginning of its id (8 characters and more), or by its name where that is unique."""
    if re.fullmatch(r"[0-9a-f]{32}", given):
        try:
            with translated(f"reading the run {given}"):
                return mlflow_client.get_run(given)
        except NotFoundError as error:
            raise NotFoundError(
                f"no run {given} in {hidden(mlflow_client.tracking_uri)}; `compare` without a run lists them"
            ) from error
    with translated(f"looking for the run {given}"):
        known = list(all_runs(mlflow_client))
    hits = [r for r in known if r.info.run_name == given or (len(given) >= 8 and r.info.run_id.startswith(given))]
    if not hits:
        raise NotFoundError(
            f"no run {given} in {hidden(mlflow_client.tracking_uri)}; `compare` without a run lists them"
        )
    if len(hits) > 1:
        raise NotFoundError(f"{given} names {len(hits)} runs: {', '.join(r.info.run_id for r in hits)}; give an id")
    return hits[0]


def all_runs(mlflow_client: MlflowClient, filter_string: str = "") -> Iterator[Run]:
    """Runs of all experiments, newest first."""
    experiments = [e.experiment_id for e in mlflow_client.search_experiments()]
    token: str | None = None
    while experiments:
        page = mlflow_client.search_runs(experiments, filter_string, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def artifact_folder(mlflow_client: MlflowClient, run_id: str, name: str) -> str | None:
    """The folder of a run's artifacts that holds a file of this name; "" is the root."""
    for folder in MODEL_FOLDERS:
        listed = mlflow_client.list_artifacts(run_id, folder or None)
        if any(item.path.rsplit("/", 1)[-1] == name for item in listed):
            return folder
    return None


def download(mlflow_client: MlflowClient, run_id: str, name: str) -> Path | None:
    """A run's artifact as a local file; None where the run has none of this name."""
    folder = artifact_folder(mlflow_client, run_id, name)
    if folder is None:
        return None
    with translated(f"downloading {name} of run {run_id}"):
        return Path(mlflow_client.download_artifacts(run_id, f"{folder}/{name}".lstrip("/")))


def refuse_run_without_model(mlflow_client: MlflowClient, run: Run) -> None:
    """A run that ended before its model was written cannot be compared, promoted or exported."""
    if artifact_folder(mlflow_client, run.info.run_id, MODEL_FILE) is None:
        raise NotFoundError(
            f"run {run.info.run_name} ({run.info.run_id}, {run.info.status.lower()}) has no {MODEL_FILE}; "
            "finish it by the command that began it, or give another run"
        )


def as_tags(figures: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested record, flat: {"int8": {"f1": 0.9}} becomes {"int8.f1": "0.9"}."""
    out: dict[str, str] = {}
    for key, value in figures.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            out |= as_tags(value, f"{name}.")
        else:
            out[name] = f"{value:.6g}" if isinstance(value, float) else str(value)
    return out


def log_to_run(command: str, folder: Path, figures: dict[str, float], files: list[Path], under: str) -> None:
    """Figures and files to the MLflow run of a run folder, where it has one.

    One that MLflow does not know is said, and nothing fails.
    """
    kept = folder / "mlflow_run_id"
    if not kept.is_file():
        return
    run_id = kept.read_text()
    try:
        mlflow_client = client(uri())
        with translated(f"run {run_id}"):
            for name, value in figures.items():
                mlflow_client.log_metric(run_id, name, value)
            for file in files:
                mlflow_client.log_artifact(run_id, str(file), under)
    except MaskwatchError as error:
        print(f"{command}: not logged to MLflow: {error}", file=sys.stderr)


def uri() -> str:
    """Where the runs are: MLFLOW_TRACKING_URI, else the SQLite file that a training makes."""
    from train.tracking import DEFAULT_URI

    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def experiment() -> str:
    """The experiment that trainings log to."""
    from train.tracking import EXPERIMENT

    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
