"""Promotion, refusal, roll-back, comparison: a real MLflow store, with runs whose mistakes are known."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from runs_support import LABELS, made_up, write_predictions

from train.__main__ import main
from train.runs import comparison, promotion, tracking
from train.runs.predictions import Predictions
from train.runs.registry import CANDIDATE, CHAMPION, Registry

MakeRun = Callable[..., str]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def make_run(store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MakeRun:
    """Makes a finished run with these predictions; the store is this process's MLflow."""
    uri = f"sqlite:///{store}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = tracking.client(uri, must_exist=False)
    found = client.get_experiment_by_name("e")
    experiment = (
        found.experiment_id if found else client.create_experiment("e", artifact_location=f"file://{store}/files")
    )

    def make(said: Predictions | None, split: str = "s1", name: str = "run") -> str:
        run_id = str(client.create_run(experiment, run_name=name).info.run_id)
        if said is None:
            client.set_terminated(run_id, "FAILED")
            return run_id
        folder = tmp_path / run_id
        folder.mkdir()
        (folder / "model.keras").write_bytes(b"weights")
        book = {"labels": LABELS, "metrics": {}, "data": {"data_sha256": "d", "split_sha256": split}}
        (folder / "model.json").write_text(json.dumps(book))
        write_predictions(folder / "val_predictions.npz", said)
        client.log_artifacts(run_id, str(folder), "model")
        client.set_terminated(run_id)
        return run_id

    return make


@pytest.fixture
def registry(make_run: MakeRun, request: pytest.FixtureRequest) -> Registry:
    """An own registered model for each test."""
    return Registry(tracking.client(tracking.uri()), request.node.name)


def promote(registry: Registry, run_id: str, *more: str) -> int:
    return main(["promote", run_id, "--name", registry._name, *more])


def test_the_first_run_becomes_champion_and_a_better_one_takes_over(make_run: MakeRun, registry: Registry) -> None:
    first, better = make_run(made_up(60)), make_run(made_up(15))
    assert promote(registry, first) == 0
    assert promote(registry, better) == 0
    champion = registry.version(CHAMPION)
    assert champion.run_id == better
    assert champion.tags["replaced"] == "1"
    assert float(champion.tags["evidence.low"]) > 0
    assert registry.find(CANDIDATE) is None


def test_a_run_better_by_noise_alone_is_refused_and_told_by_how_much(
    make_run: MakeRun, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    first, hardly = make_run(made_up(30, seed=1)), make_run(made_up(27, seed=2))
    promote(registry, first)
    assert promote(registry, hardly) == 1
    assert "short by 0.0" in capsys.readouterr().out
    assert registry.version(CHAMPION).run_id == first
    assert registry.version(CANDIDATE).run_id == hardly


def test_a_margin_asks_for_more(make_run: MakeRun, registry: Registry) -> None:
    first, better = make_run(made_up(60)), make_run(made_up(15))
    promote(registry, first)
    assert promote(registry, better, "--margin", "0.5", "--dry-run") == 1
    assert registry.find(CANDIDATE) is None
    assert promote(registry, better, "--dry-run") == 0
    assert registry.version(CHAMPION).run_id == first


def test_the_champion_before_comes_back_by_one_command(
    make_run: MakeRun, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [make_run(made_up(wrong)) for wrong in (90, 45, 10)]
    for run_id in runs:
        assert promote(registry, run_id) == 0
    assert main(["rollback", "--name", registry._name]) == 0
    assert registry.version(CHAMPION).run_id == runs[1]
    assert main(["rollback", "--name", registry._name]) == 0
    assert registry.version(CHAMPION).run_id == runs[0]
    assert main(["rollback", "--name", registry._name]) == 66
    assert "replaced no champion" in capsys.readouterr().err
    assert main(["rollback", "--name", registry._name, "--to", "3"]) == 0
    assert registry.version(CHAMPION).run_id == runs[2]


def test_export_finds_the_champion_and_its_figures_come_back_as_tags(make_run: MakeRun, registry: Registry) -> None:
    from export.source import resolve

    run_id = make_run(made_up(10))
    promote(registry, run_id)
    source = resolve(f"models:/{registry._name}@{CHAMPION}")
    assert source.keras_file.read_bytes() == b"weights"
    assert source.run_id == run_id
    registry.record_export(registry.version(CHAMPION), {"int8": {"macro_f1": 0.91, "size_bytes": 640000}})
    tags = registry.version(CHAMPION).tags
    assert (tags["export.int8.macro_f1"], tags["export.int8.size_bytes"]) == ("0.91", "640000")


def test_bad_input_is_named_and_the_registry_stays_as_it_was(
    make_run: MakeRun, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    good, unfinished = make_run(made_up(10)), make_run(None)
    other_split, other_faces = make_run(made_up(1), split="s2"), make_run(made_up(1, photographs=50), split="s1")
    assert promote(registry, unfinished) == 66
    assert registry.find(CANDIDATE) is None
    promote(registry, good)
    cases = [
        (["promote", unfinished], 66, "has no model.keras"),
        (["promote", "f" * 32], 66, "no run ffff"),
        (["promote", "nobody"], 66, "no run nobody"),
        (["promote", good], 2, "is the champion"),
        (["promote", other_split], 78, "different splits"),
        (["promote", other_faces, "--margin", "7"], 2, "--margin is 7"),
        (["promote"], 66, "no alias candidate; it has champion"),
        (["rollback"], 66, "replaced no champion"),
        (["rollback", "--to", "previous"], 66, "no alias previous"),
        (["rollback", "--to", "99"], 66, "no version 99"),
        (["rollback", "--name", "nothing"], 66, "no registered model nothing"),
        (["compare", good], 2, "two runs or more"),
        (["compare", good, other_split], 78, "different splits"),
        (["compare", good, "models:/nothing@champion"], 66, "no registered model nothing"),
    ]
    for words, exit_status, says in cases:
        more = [] if "--name" in words or words[0] == "compare" else ["--name", registry._name]
        assert main([*words, *more]) == exit_status, words
        assert says in capsys.readouterr().err, words
    assert registry.version(CHAMPION).run_id == good
    assert registry.version(CHAMPION).number == "1"
    assert registry.find(CANDIDATE) is None


@pytest.mark.parametrize(
    ("uri", "exit_status", "says"),
    [
        ("sqlite:///{folder}/none.db", 66, "no MLflow store"),
        ("http://127.0.0.1:9", 69, "no MLflow server answers at http://127.0.0.1:9"),
        ("http://me:secret@127.0.0.1:9", 69, "no MLflow server answers at http://127.0.0.1:9"),
        ("postgresql+psycopg://me:secret@127.0.0.1:9/runs", 69, "no MLflow store at postgresql+psycopg://me:***@"),
        ("sqlite:///" + __file__, 69, "nor any SQLite file"),
    ],
)
def test_a_registry_that_is_not_there_is_said_at_once_and_not_made(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    uri: str,
    exit_status: int,
    says: str,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(folder=tmp_path))
    assert main(["promote", "0" * 32]) == exit_status
    message = capsys.readouterr().err
    assert says in message
    assert "secret" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_registry_that_refuses_to_answer_crowns_nobody(
    make_run: MakeRun, registry: Registry, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import sqlite3

    first, worse = make_run(made_up(10)), make_run(made_up(60))
    promote(registry, first)
    with sqlite3.connect(store / "mlflow.db") as database:
        database.execute("ALTER TABLE registered_model_aliases RENAME TO hidden_for_a_while")
    try:
        assert promote(registry, worse) == 69
    finally:
        with sqlite3.connect(store / "mlflow.db") as database:
            database.execute("ALTER TABLE hidden_for_a_while RENAME TO registered_model_aliases")
    assert "no such table" in capsys.readouterr().err
    assert registry.version(CHAMPION).run_id == first
    assert registry.of_run(worse) is None


def test_a_comparison_shows_every_class_and_the_faces_that_differ(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = make_run(made_up(60), name="one"), make_run(made_up(20, seed=5), name="two")
    out = tmp_path / "out"
    assert main(["compare", first, second, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    for label in LABELS:
        assert f"recall {label}" in text
    differ = len(comparison.disagreements([made_up(60), made_up(20, seed=5)]))
    assert f"{differ} of 300 faces are called differently" in text
    assert len((out / "differences.csv").read_text().splitlines()) == differ + 1
    assert "*)" in (out / "compare.md").read_text()  # a difference beyond noise is marked


def test_runs_are_compared_on_the_faces_that_both_saw() -> None:
    rows = comparison.table([made_up(5), made_up(9, hide=30)], resamples=200)
    assert rows[0].values[0].n == rows[0].values[1].n == 270


def test_the_same_predictions_are_never_better() -> None:
    judged = promotion.judge(made_up(20), made_up(20), promotion.Rule())
    assert not judged.granted
    assert judged.difference is not None
    assert judged.difference.value == 0
