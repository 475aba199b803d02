"""The agent's predictor once more, for another thread: an interpreter serves one at a time."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from edge_agent.config import Config
from edge_agent.errors import ModelError
from edge_agent.predictor import FaceMaskPredictor, Prediction
from edge_agent.records import U8


class Twin:
    """Predicts with the models, the configuration and the threshold that the agent's predictor has at that moment.

    They are opened at the first picture, and again after a reload. For one thread.
    """

    def __init__(
        self,
        original: Callable[[], FaceMaskPredictor],
        make_predictor: Callable[[Config], FaceMaskPredictor] = FaceMaskPredictor,
    ) -> None:
        self._original, self._make_predictor = original, make_predictor
        self._twin_of: weakref.ref[FaceMaskPredictor] | None = None  # one that a reload replaced is freed
        self._twin: FaceMaskPredictor | None = None

    def predict(self, bgr: U8, name: str) -> Prediction:
        """Look at one picture, uint8 BGR (height, width, 3). Raises what FaceMaskPredictor.predict and `now` raise."""
        return self.now().predict(bgr, name)

    def now(self) -> FaceMaskPredictor:
        """The predictor of this moment.

        Raises what FaceMaskPredictor raises, and ModelError where a file is not the one that the agent opened; the next
        call tries again then.
        """
        original = self._original()
        if self._twin is None or self._twin_of is None or self._twin_of() is not original:
            self._twin = None  # first: two sets of models would lie in memory
            twin = self._make_predictor(original.config)
            if _models(twin) != _models(original):
                raise ModelError("a model file was replaced after the agent opened it; reload the agent")
            self._twin, self._twin_of = twin, weakref.ref(original)
        self._twin.threshold = original.threshold  # a command changes it in place
        return self._twin


def _models(predictor: FaceMaskPredictor) -> list[str | None]:
    """SHA-256 of the files of detector and classifier, where they have one."""
    return [getattr(part, "sha256", None) for part in (predictor.detector, predictor.classifier)]
