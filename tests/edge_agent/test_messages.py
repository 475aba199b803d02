"""Messages: what leaves validates against its schema, and the pages that describe it are current."""

import importlib.util
import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker_support import visit
from edge_agent.config import Config
from edge_agent.messages import Command, EventMessage, event_message, utc, utc_text

ROOT = Path(__file__).parents[2]
LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_pages_are_current(generator):
    stale = [name for name, text in generator.pages().items() if not generator.is_current(name, text)]
    assert stale == [], "run make docs"


def test_each_example_of_the_page_fits_its_schema_and_its_model(generator):
    shown = list(generator.examples())
    assert len(shown) == 6
    for model, example in shown:
        jsonschema.validate(json.loads(example), model.model_json_schema(mode="serialization", by_alias=True))
        model.model_validate_json(example)


def test_the_schema_of_the_configuration_is_valid_and_takes_the_defaults():
    schema = json.loads((ROOT / "docs" / "config.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(Config().model_dump(mode="json"), schema)


def test_an_event_becomes_a_message_with_one_id_for_the_visit():
    message = event_message(visit(3), LABELS, "door", "abcd", 12, "boot", True)
    assert (message.id, message.message_id, message.box) == ("visit-3", "abcd-12", (10, 20, 30, 40))
    sent = json.loads(message.payload())
    assert sent["schema"] == 1
    assert sent["probabilities"] == {"with_mask": 0.97, "without_mask": 0.02, "mask_weared_incorrect": 0.01}
    assert sent["at"].endswith("Z")
    again = EventMessage.model_validate_json(message.payload())
    assert again.payload() == message.payload()


@pytest.mark.parametrize("seconds", [-5.0, 0.0, 1.7e9, 1e15])
def test_a_clock_that_is_far_off_still_gives_a_moment(seconds):
    assert utc_text(utc(seconds)).endswith("Z")


def test_moments_are_utc_whatever_zone_they_came_in():
    assert utc_text(datetime(2026, 1, 2, 3, 4, 5, 678_900, UTC)) == "2026-01-02T03:04:05.678Z"


def read(text):
    """The command that a text is, or the words with which it is refused."""
    try:
        return Command.model_validate_json(text)
    except ValueError as error:
        return str(error)


@given(st.text(max_size=200))  # some of them stand in the code
@settings(max_examples=200, deadline=None)
def test_any_text_is_refused_in_words_or_is_the_command_that_it_says(text):
    found = read(text)
    if isinstance(found, str):
        assert "validation error" in found
    else:
        assert found.action == json.loads(text)["action"]
