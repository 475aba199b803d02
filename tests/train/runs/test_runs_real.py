"""A study of real (small) trainings on drawn faces, and what follows: promote, refuse, compare, reproduce."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from runs_support import draw_dataset

from train.__main__ import main
from train.runs import tracking
from train.runs.registry import CHAMPION, Registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SPACE = """
study = "rates"
sampler = "grid"
pruner = "none"
trials = 2
config = "drawn.toml"
[space]
"phase.0.learning_rate" = { choices = [1e-6, 1e-2] }
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which `search` has run once."""
    root = tmp_path_factory.mktemp("study")
    draw_dataset(root)
    (root / "space.toml").write_text(SPACE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
        patch.chdir(root)  # MLflow puts the artifacts of a SQLite store into the working folder
        assert main(["search", "--space", str(root / "space.toml")]) == 0
        yield root


@pytest.fixture
def trials(study: Path) -> dict[float, str]:
    """Run ids by learning rate."""
    client = tracking.client(tracking.uri())
    runs = [run for run in tracking.all_runs(client) if "phase.0.learning_rate" in run.data.params]
    return {float(run.data.params["phase.0.learning_rate"]): run.info.run_id for run in runs}


def test_trials_are_nested_runs_and_the_study_says_which_is_best(study: Path, trials: dict[float, str]) -> None:
    client = tracking.client(tracking.uri())
    parent = next(run for run in tracking.all_runs(client) if "maskwatch.study" in run.data.tags)
    assert set(trials) == {1e-6, 1e-2}
    for run_id in trials.values():
        run = client.get_run(run_id)
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.info.status == "FINISHED"
    assert parent.data.tags["best_run_id"] == trials[1e-2]
    assert {item.path for item in client.list_artifacts(parent.info.run_id)} >= {
        "trials.csv",
        "best_params.json",
        "figures",
    }


def test_a_finished_study_trains_nothing_again(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--space", str(study / "space.toml")]) == 0
    assert "2 of 2 trials done" in capsys.readouterr().out


def test_a_better_run_is_promoted_and_a_worse_one_refused(
    study: Path, trials: dict[float, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["promote", trials[1e-6]]) == 0
    assert main(["promote", trials[1e-2]]) == 0
    assert main(["promote", trials[1e-6]]) == 1
    assert "short by" in capsys.readouterr().out
    registry = Registry(tracking.client(tracking.uri()), "maskwatch-classifier")
    assert registry.version(CHAMPION).run_id == trials[1e-2]


def test_the_page_of_differences_shows_crops(study: Path, trials: dict[float, str]) -> None:
    words = ["compare", trials[1e-6], trials[1e-2], "--out", str(study / "page")]
    assert main([*words, "--dataset", str(study / "drawn.dataset.toml")]) == 0
    assert (study / "page" / "differences.html").read_text().count("data:image/jpeg;base64,") >= 10


def test_a_recorded_run_is_reproduced_and_changed_data_is_noticed(
    study: Path, trials: dict[float, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["reproduce", trials[1e-2], "--runs", str(study / "again"), "--cache", str(study / "fresh")]
    assert main(words) == 0
    assert "reproduced (tolerance 0.005)" in capsys.readouterr().out
    assert main(words) == 2  # nothing is trained over what is there
    book = study / "coco.json"
    before = book.read_text()
    book.write_text(before.replace('"category_id": 0', '"category_id": 1', 1))
    try:
        assert main(["reproduce", trials[1e-2], "--runs", str(study / "other")]) == 78
        assert "DIFFERENT  data_sha256" in capsys.readouterr().out
        assert main(["reproduce", trials[1e-2], "--check-only"]) == 1
        assert not (study / "other").exists()
    finally:
        book.write_text(before)


def test_a_space_that_does_not_fit_is_refused_before_anything_is_trained(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {
        SPACE.replace("1e-6", "1e-3"): "has another space",
        SPACE.replace("phase.0.learning_rate", "phase.7.learning_rate"): "space.phase.7.learning_rate",
        SPACE.replace("1e-6", "-1.0"): "greater than 0",
        SPACE.replace('config = "drawn.toml"', 'config = "none.toml"'): "no training configuration",
    }
    before = sorted(path.name for path in (study / "runs").iterdir())
    for text, says in cases.items():
        (study / "bad.toml").write_text(text)
        assert main(["search", "--space", str(study / "bad.toml")]) != 0
        assert says in capsys.readouterr().err
    assert sorted(path.name for path in (study / "runs").iterdir()) == before
