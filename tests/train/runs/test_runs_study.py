"""Studies: resumed after a kill, shared by two processes, refused with another space. The objective is cheap."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna import Study

from edge_agent.errors import ConfigError, NotFoundError, UnavailableError, UsageError
from train.runs import space, study, study_log
from train.runs.space import Space
from train.runs.study import Outcome, Params, Report

ROOT = Path(__file__).resolve().parents[3]
# What another process runs: a trial is entered in a file, takes `wait_s`, and is worth 1 - (x - 0.3)^2.
WORKER = """
import json, sys, time
from train.runs import space, study
from train.runs.study import Outcome

found, url, log, wait_s = space.read(space.Path(sys.argv[1])), sys.argv[2], sys.argv[3], float(sys.argv[4])

def objective(number, params, report):
    with open(log, "a") as out:
        out.write(json.dumps([number, params["x"]]) + "\\n")
    time.sleep(wait_s)
    return Outcome(1 - (params["x"] - 0.3) ** 2, {})

print(study.run(study.open_study(found, url), found, objective, lambda *_: None))
"""


def write_space(folder: Path, **keys: object) -> Path:
    """A space of one parameter x, with these keys changed."""
    lines = {"study": "s", "trials": 6, "sampler": "random", "pruner": "none"} | keys
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in lines.items() if key != "x")
    path = folder / "space.toml"
    path.write_text(f"{text}\n[space]\nx = {keys.get('x', '{ low = 0.0, high = 1.0 }')}\n")
    return path


def start(folder: Path, wait_s: float) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", WORKER, str(folder / "space.toml"), f"sqlite:///{folder}/s.db", str(folder / "log")]
    return subprocess.Popen([*words, str(wait_s)], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def begun(folder: Path) -> list[tuple[int, float]]:
    log = folder / "log"
    return [tuple(json.loads(line)) for line in log.read_text().splitlines()] if log.is_file() else []


def worth(number: int, params: Params, report: Report) -> Outcome:
    x = float(params["x"])
    for step in range(4):
        report(step, 1 - (x - 0.3) ** 2)
    return Outcome(1 - (x - 0.3) ** 2, {"twice": 2 * x}, f"run-{number}")


def open_here(folder: Path, **keys: object) -> tuple[Study, Space]:
    found = space.read(write_space(folder, **keys))
    return study.open_study(found, f"sqlite:///{folder}/s.db"), found


def test_a_killed_study_goes_on_and_repeats_no_finished_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_space(tmp_path)
    process = start(tmp_path, wait_s=0.2)
    until = time.monotonic() + 300
    while len(begun(tmp_path)) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = begun(tmp_path)
    opened, found = open_here(tmp_path)
    done = {trial.number for trial in study.finished(opened)}
    ran = study.run(opened, found, worth, lambda *_: None)
    values = [trial.params["x"] for trial in study.finished(opened)]
    assert 2 <= len(before) < 6
    assert len(values) == 6
    assert ran == 6 - len(done)
    assert len(set(values)) == 6  # a resumed sampler does not propose the first settings again


def test_two_processes_share_one_study(tmp_path: Path) -> None:
    write_space(tmp_path, trials=8)
    both = [start(tmp_path, wait_s=0.5) for _ in range(2)]
    ran = [int(process.communicate(timeout=540)[0]) for process in both]
    trials = begun(tmp_path)
    assert all(process.returncode == 0 for process in both)
    assert min(ran) >= 1
    assert 8 <= sum(ran) <= 9  # the one in flight when the eighth ends is not thrown away
    assert len({number for number, _ in trials}) == len(trials)
    assert len({x for _, x in trials}) == len(trials)


def test_a_grid_visits_each_point_once_and_ends(tmp_path: Path) -> None:
    opened, found = open_here(tmp_path, sampler="grid", trials=50, x="{ low = 0.0, high = 1.0, step = 0.25 }")
    assert study.run(opened, found, worth, lambda *_: None) == 5
    assert sorted(trial.params["x"] for trial in study.finished(opened)) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert study.run(opened, found, worth, lambda *_: None) == 0


def test_tpe_finds_the_best_setting_and_prunes_hopeless_trials(tmp_path: Path) -> None:
    opened, found = open_here(
        tmp_path, sampler="tpe", pruner="median", warm_up_steps=1, trials=30, x="{ low = -3.0, high = 3.0 }"
    )
    study.run(opened, found, worth, lambda *_: None)
    states = [trial.state.name for trial in study.finished(opened)]
    assert abs(study.best(opened).params["x"] - 0.3) < 0.3
    assert states.count("PRUNED") >= 5
    assert study.best(opened).user_attrs["run_id"] == f"run-{study.best(opened).number}"


def test_pictures_and_table_of_a_study_are_drawn(tmp_path: Path) -> None:
    opened, found = open_here(tmp_path)
    study.run(opened, found, worth, lambda *_: None)
    pictures = study_log.draw(opened, tmp_path, found.metric)
    assert {path.name for path in pictures} == {"history.png", "parallel.png", "importance.png"}
    assert all(path.stat().st_size > 5000 for path in pictures)
    assert study_log.table(opened).splitlines()[0] == "trial,state,value,x,seconds,run_id"


def test_a_study_with_another_space_is_refused_and_unchanged(tmp_path: Path) -> None:
    opened, _ = open_here(tmp_path)
    with pytest.raises(ConfigError, match=r"space.x is .*2\.0.* here and .*1\.0.* in the study"):
        open_here(tmp_path, x="{ low = 0.0, high = 2.0 }")
    assert len(opened.get_trials()) == 0


def test_a_study_without_a_finished_trial_has_no_best(tmp_path: Path) -> None:
    opened, _ = open_here(tmp_path)
    with pytest.raises(NotFoundError, match="no completed trial"):
        study.best(opened)


@pytest.mark.parametrize(
    ("url", "error", "says"),
    [
        ("nonsense", UsageError, "is no database URL"),
        ("sqlite:////nowhere/at/all/s.db", UnavailableError, "unable to open"),
        ("postgresql://me:secret@127.0.0.1:1/s", UnavailableError, "is the database up"),
    ],
)
def test_a_storage_that_is_not_there_is_named_without_its_password(
    tmp_path: Path, url: str, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        study.open_study(space.read(write_space(tmp_path)), url)
    assert "secret" not in str(caught.value)


def test_a_search_whose_mlflow_is_not_there_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from train.__main__ import main

    (tmp_path / "base.toml").write_text(f'dataset = "none.toml"\nruns = "{tmp_path}/runs"\n')
    path = write_space(tmp_path, config="base.toml")
    path.write_text(
        path.read_text().replace("\nx = { low = 0.0", "\nlabel_smoothing = { low = 0.0").replace("1.0", "0.1")
    )
    before = sorted(tmp_path.iterdir())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main(["search", "--space", str(path)]) == 69
    assert "no MLflow server answers at http://127.0.0.1:9" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"x": "{ low = 1.0, high = 0.0 }"}, "low has to be smaller"),
        ({"x": "{ low = 0.0, high = 1.0, log = true }"}, "above 0"),
        ({"x": "{ low = 0.0, high = inf }"}, "finite"),
        ({"x": "{ low = 0.0, high = 1.0, step = 0.0 }", "sampler": "grid"}, "above 0"),
        ({"x": "{ choices = [] }"}, "either choices"),
        ({"sampler": "grid"}, "a grid needs choices"),
        ({"sampler": "guess"}, "sampler"),
        ({"trials": 0}, "trials"),
        ({"study": "../elsewhere"}, "study"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_space_that_makes_no_sense_is_named(tmp_path: Path, keys: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        space.read(write_space(tmp_path, **keys))


def test_the_shipped_space_fits_the_training_configuration() -> None:
    from train.config import TrainConfig
    from train.runs import objective

    found = space.read(ROOT / "train" / "runs" / "spaces" / "head.toml")
    config = TrainConfig(dataset=Path("x"))
    objective.check(config, found)
    params = {name: (d.choices or (d.high,))[0] for name, d in found.space.items()}
    changed = objective.changed(config, params)
    assert changed.phase[0].learning_rate == params["phase.0.learning_rate"]
    assert changed.phase[1] == config.phase[1]
    with pytest.raises(ConfigError, match=r"space.phase.9.learning_rate"):
        objective.changed(config, {"phase.9.learning_rate": 1e-3})
    with pytest.raises(ConfigError, match=r"model\.colour"):
        objective.changed(config, {"model.colour": 1})
