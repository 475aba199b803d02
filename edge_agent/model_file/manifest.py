"""What a model says of itself. The schema of `manifest.json`, the same for the agent and for export."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from edge_agent.errors import ModelError

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}$")]
Text = Annotated[str, StringConstraints(max_length=2000)]
Share = Annotated[float, Field(ge=0, le=1)]
Version = Annotated[str, StringConstraints(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$")]


class Part(BaseModel):
    """A part of the manifest: frozen, unknown keys refused, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputPart(Part):
    """What the network is fed: uint8, channels last, one picture at a time; normalisation is a layer inside."""

    width_px: int = Field(ge=8, le=4096)
    height_px: int = Field(ge=8, le=4096)
    colour_order: Literal["RGB"] = "RGB"
    dtype: Literal["uint8"] = "uint8"
    normalisation: Text = Field(default="", description="what the layer inside does, for people")


class Calibration(Part):
    """How probabilities were made honest, and what a full-integer model was calibrated on."""

    temperature: float = Field(default=1.0, gt=0.01, le=100, description="divides log-probabilities")
    crops: int = Field(default=0, ge=0, description="pictures that the quantiser saw")
    data: Text = ""


class Metric(Part):
    """One figure with the data it was measured on."""

    name: Word
    value: float
    data: Text
    n: int = Field(ge=0)


class FacePart(Part):
    """How to read the second output of a classifier that has one, (1, 1): the probability that there is a face."""

    none_below: float = Field(ge=0, lt=1, description="less: no face, as a nape or an animal that a detector boxed")
    sure_from: float = Field(gt=0, le=1, description="as much or more: surely a face; in between it counts in part")

    @model_validator(mode="after")
    def _in_order(self) -> FacePart:
        if self.none_below >= self.sure_from:
            raise ValueError(f"none_below is {self.none_below:g} and sure_from {self.sure_from:g}; it has to be more")
        return self


class ClassifierPart(Part):
    """What only a classifier has."""

    crop_margin: float = Field(ge=0, le=2, description="share of the longer side added on every edge of a face's box")
    thresholds: dict[Label, Share] = Field(
        default_factory=dict, description="by label: an answer less probable than this is 'cannot tell'"
    )
    face: FacePart | None = Field(default=None, description="of a network that also says whether there is a face")

    def outputs(self, labels: int) -> tuple[int, ...]:
        """How many values each output of the network has, in any order."""
        return (labels,) if self.face is None else (labels, 1)


class DetectorPart(Part):
    """What only a detector has: how its raw maps become boxes. `maps` names each output tensor in order."""

    decode: Word = Field(description="the name of the decoding in the agent")
    strides: tuple[int, ...] = Field(min_length=1, max_length=8)
    maps: tuple[Word, ...] = Field(min_length=1, max_length=32)
    score_threshold: float = Field(gt=0, lt=1)
    nms_iou: float = Field(gt=0, lt=1)
    parameters: dict[Word, float | str | tuple[float, ...]] = Field(default_factory=dict, max_length=64)


class GoldenPart(Part):
    """How far the golden outputs may be off, as shares of each output's own span."""

    count: int = Field(ge=8, le=256)
    largest_difference: float = Field(gt=0, le=0.3)
    mean_difference: float = Field(gt=0, le=0.03)


class Manifest(Part):
    """The whole of `manifest.json`."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    name: Word
    version: Version
    kind: Literal["classifier", "detector"]
    labels: tuple[Label, ...] = Field(min_length=1, max_length=100)
    architecture: Word
    parameters: int = Field(ge=0)
    trained_at: AwareDatetime
    epochs: int = Field(ge=0)
    input: InputPart
    quantisation: Literal["float32", "float16", "dynamic", "int8"]
    quantisation_detail: Text = ""
    calibration: Calibration = Calibration()
    classifier: ClassifierPart | None = None
    detector: DetectorPart | None = None
    golden: GoldenPart
    metrics: tuple[Metric, ...] = Field(default=(), max_length=200)
    runtimes: tuple[Text, ...] = Field(default=(), max_length=32, description="runtimes it was proven in")
    mlflow_run_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-zA-Z_-]{0,64}$")] = ""
    tools: dict[Word, Text] = Field(default_factory=dict, max_length=32)
    minimum_agent_version: Version
    flatbuffer_sha256: Sha256
    flatbuffer_bytes: int = Field(ge=16)

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    @model_validator(mode="after")
    def _parts_fit(self) -> Manifest:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label stands twice in labels")
        if (self.kind == "classifier") != (self.classifier is not None):
            raise ValueError("the part 'classifier' belongs to the kind classifier, and to it alone")
        if (self.kind == "detector") != (self.detector is not None):
            raise ValueError("the part 'detector' belongs to the kind detector, and to it alone")
        if self.classifier is not None:
            self._classifier_fits(self.classifier)
        return self

    def _classifier_fits(self, part: ClassifierPart) -> None:
        if len(self.labels) < 2:
            raise ValueError("a classifier needs two labels or more")
        if self.input.width_px != self.input.height_px:
            raise ValueError("a classifier's input has to be square")
        strangers = sorted(set(part.thresholds) - set(self.labels))
        if strangers:
            raise ValueError(f"thresholds name {strangers[0]!r}, which is no label")

    def to_json(self) -> bytes:
        """The manifest as it lies in the zip: the same record gives the same bytes."""
        return self.model_dump_json(by_alias=True, indent=1, exclude_none=True).encode() + b"\n"


def parse(text: bytes, where: str) -> Manifest:
    """The manifest in `text`. Raises ModelError that names the first keys that do not fit."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        faults = [".".join(map(str, d["loc"])) + ": " + d["msg"].removeprefix("Value error, ") for d in details[:3]]
        what = "; ".join(fault.removeprefix(": ") for fault in faults)
        raise ModelError(f"{where}: its manifest.json does not fit: {_one_line(what)}; export it again") from None
    except RecursionError:
        raise ModelError(f"{where}: its manifest.json is nested too deeply; export it again") from None


def _one_line(text: str) -> str:
    return " ".join(text.split())[:400]
