"""Which version is the candidate, which is the champion, and how to go back.

MLflow's model registry with two aliases. Every version remembers in its tags which champion it replaced, so that a
roll-back needs no memory of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from edge_agent.errors import NotFoundError, UsageError
from train.runs import tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CANDIDATE, CHAMPION = "candidate", "champion"
REPLACED, PROMOTED_AT, ROLLED_BACK_AT, EVIDENCE = "replaced", "promoted_at", "rolled_back_at", "evidence"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a registered model."""

    name: str
    number: str
    run_id: str
    tags: dict[str, str]
    aliases: tuple[str, ...]

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.number}"


class Registry:
    """The versions of one registered model."""

    def __init__(self, client: MlflowClient, name: str, now_s: Callable[[], float] = time.time) -> None:
        self._client, self._name, self._now_s = client, name, now_s

    def version(self, given: str) -> Version:
        """A version by its number or by an alias."""
        aliases = self._aliases()
        number = aliases.get(given, given if given.isdecimal() else None)
        if number is None:
            known = ", ".join(sorted(aliases)) or "none yet"
            raise NotFoundError(f"model {self._name} has no alias {given}; it has {known}")
        try:
            with tracking.translated(f"reading version {number} of {self._name}"):
                return self._record(self._client.get_model_version(self._name, number))
        except NotFoundError as error:
            raise NotFoundError(f"model {self._name} has no version {number}; `promote` registers a run") from error

    def find(self, given: str) -> Version | None:
        """The version behind an alias; None where the model or the alias is not there (not where MLflow refuses)."""
        try:
            return self.version(given)
        except NotFoundError:
            return None

    def of_run(self, run_id: str) -> Version | None:
        """The newest version made from a run."""
        found = [
            self._record(v) for v in self._client.search_model_versions(f"name = '{self._name}'") if v.run_id == run_id
        ]
        return max(found, key=lambda version: int(version.number), default=None)

    def add(self, run_id: str) -> Version:
        """Register a run's model as the candidate; a run that is registered already keeps its version."""
        found = self.of_run(run_id)
        if found is None:
            run = self._client.get_run(run_id)
            tracking.refuse_run_without_model(self._client, run)
            with tracking.translated(f"registering run {run_id} as {self._name}"):
                if not self._client.search_registered_models(f"name = '{self._name}'"):
                    self._client.create_registered_model(self._name, description="Tells how a face wears its mask")
                made = self._client.create_model_version(
                    self._name, self._source(run_id), run_id, await_creation_for=30
                )
            found = self._record(made)
        self._client.set_registered_model_alias(self._name, CANDIDATE, found.number)
        return self.version(found.number)

    def crown(self, version: Version, evidence: dict[str, Any]) -> None:
        """Make a version the champion; its tags keep the evidence and whom it replaced."""
        before = self.find(CHAMPION)
        if before and before.number == version.number:
            raise UsageError(f"version {version.number} of {self._name} is the champion already")
        tags = {REPLACED: before.number if before else "", PROMOTED_AT: self._stamp()}
        self._tag(version, tags | tracking.as_tags(evidence, f"{EVIDENCE}."))
        # Last: a promotion killed before this line has changed nothing that anybody reads.
        self._client.set_registered_model_alias(self._name, CHAMPION, version.number)
        candidate = self.find(CANDIDATE)
        if candidate and candidate.number == version.number:
            self._client.delete_registered_model_alias(self._name, CANDIDATE)

    def roll_back(self, to: str | None = None) -> tuple[Version, Version]:
        """Give the title back to the champion before, or to version `to`; returns who lost it and who has it."""
        current = self.version(CHAMPION)
        earlier = to or current.tags.get(REPLACED, "")
        if not earlier:
            raise NotFoundError(
                f"version {current.number} of {self._name} replaced no champion; name one with --to VERSION"
            )
        target = self.version(earlier)
        if target.number == current.number:
            raise UsageError(f"version {target.number} of {self._name} is the champion already")
        self._tag(current, {ROLLED_BACK_AT: self._stamp()})
        self._client.set_registered_model_alias(self._name, CHAMPION, target.number)
        return current, target

    def record_export(self, version: Version, figures: dict[str, Any]) -> None:
        """Keep what an export measured as tags of the version: export.int8.macro_f1 and so on."""
        self._tag(version, tracking.as_tags(figures, "export."))

    def _aliases(self) -> dict[str, str]:
        try:
            # MLflow gives the numbers as int here and as str elsewhere.
            with tracking.translated(f"reading the model {self._name}"):
                return {alias: str(n) for alias, n in self._client.get_registered_model(self._name).aliases.items()}
        except NotFoundError as error:
            raise NotFoundError(
                f"no registered model {self._name}; `promote RUN` registers the first version"
            ) from error

    def _record(self, found: ModelVersion) -> Version:
        return Version(self._name, str(found.version), found.run_id or "", dict(found.tags), tuple(found.aliases or ()))

    def _source(self, run_id: str) -> str:
        folder = tracking.artifact_folder(self._client, run_id, tracking.MODEL_FILE)
        return f"runs:/{run_id}/{folder}".rstrip("/")

    def _tag(self, version: Version, tags: dict[str, str]) -> None:
        with tracking.translated(f"tagging version {version.number} of {self._name}"):
            for key, value in tags.items():
                self._client.set_model_version_tag(self._name, version.number, key, value)

    def _stamp(self) -> str:
        return datetime.fromtimestamp(self._now_s(), UTC).isoformat(timespec="seconds")
