"""The MLflow deployment, started for real: PostgreSQL, an artifact folder, users with passwords."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import postgres_support
import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "mlflow"
UP_WITHIN_S = 600.0
NO_SERVER = "needs PostgreSQL's server: apt install postgresql"
needs_postgres = pytest.mark.skipif(postgres_support.binaries() is None, reason=NO_SERVER)


@dataclass(frozen=True)
class Server:
    url: str
    password: str
    artifacts: Path
    environ: dict[str, str]
    log: Path


def status(url: str, user: str = "", password: str = "") -> int:
    """The HTTP status of a GET, with a user's name and password where they are given."""
    request = urllib.request.Request(url)
    if user:
        request.add_header("Authorization", "Basic " + b64encode(f"{user}:{password}".encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def environment(root: Path, **more: str) -> dict[str, str]:
    keys = root / "credentials"
    keys.mkdir(exist_ok=True)
    password = secrets.token_urlsafe(16)
    (keys / "admin-password").write_text(password + "\n")
    (keys / "session-key").write_text(secrets.token_urlsafe(32) + "\n")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "MASKWATCH"))}
    return (
        clean
        | {
            "CREDENTIALS_DIRECTORY": str(keys),
            "RUNTIME_DIRECTORY": str(root),
            "MLFLOW": str(Path(sys.executable).with_name("mlflow")),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MASKWATCH_MLFLOW_ARTIFACTS": str(root / "artifacts"),
            "MASKWATCH_MLFLOW_WORKERS": "1",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        | more
    )


@contextmanager
def started(environ: dict[str, str], log: Path, url: str) -> Iterator[None]:
    """start.sh until it answers; on the way out, ended as systemd ends it."""
    with log.open("ab") as out:
        process = subprocess.Popen([DEPLOY / "start.sh"], env=environ, stdout=out, stderr=out, start_new_session=True)
        try:
            until = time.monotonic() + UP_WITHIN_S
            while status(f"{url}/health") != 200:
                assert process.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < until, f"not up within {UP_WITHIN_S:.0f} s: {log.read_text()[-3000:]}"
                time.sleep(0.3)
            yield
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("mlflow")
    with postgres_support.running("mlflow", "mlflow_users") as database:
        port = postgres_support.free_port()
        environ = environment(
            root,
            MASKWATCH_MLFLOW_DATABASE=database.url("mlflow"),
            MASKWATCH_MLFLOW_USERS=database.url("mlflow_users"),
            MASKWATCH_MLFLOW_PORT=str(port),
        )
        password = (root / "credentials" / "admin-password").read_text().strip()
        url, log = f"http://127.0.0.1:{port}", root / "server.log"
        with started(environ, log, url):
            yield Server(url, password, root / "artifacts", environ, log)


@pytest.fixture
def as_admin(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """This process signed in as admin."""
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", server.password)
    before, registry = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    yield server
    mlflow.set_tracking_uri(before)
    mlflow.set_registry_uri(registry)


@needs_postgres
@pytest.mark.timeout(900)
def test_nobody_reads_runs_without_the_password(server: Server) -> None:
    experiments = f"{server.url}/api/2.0/mlflow/experiments/get?experiment_id=0"
    assert status(experiments) == 401
    assert status(experiments, "admin", "a guess at it") == 401
    assert status(experiments, "admin", server.password) == 200


@needs_postgres
def test_a_run_its_model_and_an_alias_survive_on_the_server(as_admin: Server, tmp_path: Path) -> None:
    from train.runs import tracking
    from train.runs.registry import CANDIDATE, Registry

    client = tracking.client(as_admin.url)
    run_id = client.create_run(client.create_experiment("faces"), run_name="first").info.run_id
    client.log_metric(run_id, "val_macro_f1", 0.9, step=3)
    model = tmp_path / "model.keras"
    model.write_bytes(b"weights")
    client.log_artifact(run_id, str(model), "model")
    client.set_terminated(run_id)
    version = Registry(client, "maskwatch-test").add(run_id)
    assert version.aliases == (CANDIDATE,)
    assert client.get_run(run_id).data.metrics == {"val_macro_f1": 0.9}
    assert [path.read_bytes() for path in as_admin.artifacts.rglob("model.keras")] == [b"weights"]
    back = tracking.download(client, run_id, "model.keras")
    assert back is not None
    assert back.read_bytes() == b"weights"


@needs_postgres
def test_a_new_user_may_log_runs_and_read_those_of_others(as_admin: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow
    from mlflow.server import get_app_client

    client = mlflow.MlflowClient(as_admin.url)
    theirs = client.create_run(client.create_experiment("by the admin")).info.run_id
    word = secrets.token_urlsafe(16)
    get_app_client("basic-auth", tracking_uri=as_admin.url).create_user("engineer", word)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "engineer")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", word)
    mine = client.create_run(client.create_experiment("by the engineer")).info.run_id
    client.log_metric(mine, "loss", 0.5)
    assert client.get_run(mine).data.metrics == {"loss": 0.5}
    assert client.get_run(theirs).info.run_id == theirs
    with pytest.raises(mlflow.MlflowException, match=re.compile("permission", re.IGNORECASE)):
        client.log_metric(theirs, "loss", 0.5)


@needs_postgres
def test_secrets_stand_in_no_process_list_and_no_log(server: Server) -> None:
    shown = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert "--app-name basic-auth" in shown
    word = server.environ["MASKWATCH_MLFLOW_DATABASE"].split(":")[2].split("@")[0]
    for text in (shown, server.log.read_text()):
        assert word not in text
        assert server.password not in text


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("CREDENTIALS_DIRECTORY", "CREDENTIALS_DIRECTORY is not set"),
        ("MASKWATCH_MLFLOW_DATABASE", "give postgresql+psycopg://"),
        ("MASKWATCH_MLFLOW_USERS", "give a second database"),
        ("MASKWATCH_MLFLOW_ARTIFACTS", "give a folder or s3://"),
    ],
)
def test_a_setting_that_is_missing_is_named_and_nothing_starts(tmp_path: Path, missing: str, says: str) -> None:
    environ = environment(tmp_path, MASKWATCH_MLFLOW_DATABASE="a", MASKWATCH_MLFLOW_USERS="b", MLFLOW="/bin/false")
    del environ[missing]
    done = subprocess.run([DEPLOY / "start.sh"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert says in done.stderr


@pytest.mark.parametrize(("word", "says"), [("", "is empty"), ("short", "shorter than 12")])
def test_a_weak_admin_password_is_refused(tmp_path: Path, word: str, says: str) -> None:
    environ = environment(tmp_path, MASKWATCH_MLFLOW_DATABASE="a", MASKWATCH_MLFLOW_USERS="b", MLFLOW="/bin/false")
    (tmp_path / "credentials" / "admin-password").write_text(word)
    done = subprocess.run([DEPLOY / "start.sh"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert says in done.stderr
