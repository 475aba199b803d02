"""A study in MLflow: one parent run, its trials nested below, and the pictures of what mattered."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from train.runs import study as studies
from train.runs import tracking
from train.runs.space import Space

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from optuna import Study
    from optuna.trial import FrozenTrial

STUDY_TAG, PARENT = "maskwatch.study", "mlflow parent run"


class StudyLog:
    """The parent run of a study; several processes find the same one."""

    def __init__(self, client: MlflowClient, experiment: str, study: Study, space: Space, storage: str) -> None:
        self._client, self._study, self._space = client, study, space
        with tracking.translated(f"opening the experiment {experiment}"):
            found = client.get_experiment_by_name(experiment)
            self._experiment_id = found.experiment_id if found else client.create_experiment(experiment)
        self.run_id = self._parent(f"{space.study} {tracking.hidden(storage)}")

    def _parent(self, tag: str) -> str:
        """Ours is kept only if nobody was first: two processes may begin at the same moment."""
        known = self._find(tag)
        if known:
            self._client.update_run(known[0], status="RUNNING")
            return known[0]
        made = self._client.create_run(
            self._experiment_id, tags={STUDY_TAG: tag}, run_name=self._space.study
        ).info.run_id
        first = self._find(tag)[0]
        if first != made:
            self._client.delete_run(made)
            return first
        for key, value in self._space.model_dump(mode="json", exclude={"space", "fixed"}).items():
            self._client.log_param(made, key, value)
        for key, value in self._space.space.items():
            self._client.log_param(made, f"space.{key}", value.model_dump(mode="json", exclude_defaults=True))
        return made

    def _find(self, tag: str) -> list[str]:
        """Parent runs of this study in MLflow, the oldest first."""
        text = f"tags.`{STUDY_TAG}` = '{tag}'"
        runs = self._client.search_runs([self._experiment_id], text, order_by=["attributes.start_time ASC"])
        return [run.info.run_id for run in sorted(runs, key=lambda r: (r.info.start_time, r.info.run_id))]

    def after(self, study: Study, trial: FrozenTrial) -> None:
        """One point a trial: its value and the best so far."""
        done = len(studies.finished(study))
        if trial.value is not None:
            self._client.log_metric(self.run_id, self._space.metric, trial.value, step=trial.number)
            self._client.log_metric(self.run_id, f"best_{self._space.metric}", study.best_value, step=trial.number)
        self._client.log_metric(self.run_id, "trials", done, step=trial.number)

    def close(self) -> None:
        """Log the table, the pictures and the best settings, and end the parent run."""
        best = studies.best(self._study)
        self._client.log_text(self.run_id, table(self._study), "trials.csv")
        self._client.log_dict(self.run_id, best.params, "best_params.json")
        self._client.set_tag(self.run_id, "best_run_id", best.user_attrs.get("run_id", ""))
        with TemporaryDirectory() as folder:
            for picture in draw(self._study, Path(folder), self._space.metric):
                self._client.log_artifact(self.run_id, str(picture), "figures")
        self._client.set_terminated(self.run_id, "FINISHED")


def table(study: Study) -> str:
    """All trials as CSV, in order of their numbers."""
    trials = study.get_trials(deepcopy=False)
    names = sorted({name for t in trials for name in t.params})
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["trial", "state", "value", *names, "seconds", "run_id"])
    for t in trials:
        took = f"{t.duration.total_seconds():.1f}" if t.duration else ""
        value = "" if t.value is None else f"{t.value:.5f}"
        rows.writerow(
            [t.number, t.state.name, value, *(t.params.get(n, "") for n in names), took, t.user_attrs.get("run_id", "")]
        )
    return out.getvalue()


def draw(study: Study, folder: Path, metric: str) -> list[Path]:
    """Importance and parallel plots where the trials allow them; a study of two trials has no importances."""
    import warnings

    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot
    from optuna import visualization
    from optuna.trial import TrialState

    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    plots = {
        "history": lambda: visualization.matplotlib.plot_optimization_history(study, target_name=metric),
        "parallel": lambda: visualization.matplotlib.plot_parallel_coordinate(study, target_name=metric),
    }
    if len(completed) >= 4 and len({t.value for t in completed}) > 1:
        plots["importance"] = lambda: visualization.matplotlib.plot_param_importances(study, target_name=metric)
    out = []
    for name, plot in plots.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # matplotlib plots are "experimental" in Optuna
            figure = plot().figure
        figure.set_size_inches(9, 5)
        figure.savefig(folder / f"{name}.png", dpi=110, bbox_inches="tight")
        pyplot.close(figure)
        out.append(folder / f"{name}.png")
    return out
