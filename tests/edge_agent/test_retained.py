"""What was published is remembered until the broker has removed it."""

import pytest

from edge_agent.retained import Published, is_ours

INFO, OLD = "maskwatch/door/info", "maskwatch/door/camera/back/status"


def test_a_topic_is_cleared_at_each_start_until_the_broker_has_removed_it(tmp_path):
    Published.load(tmp_path).replace({INFO, OLD}, {}, tmp_path)
    for _ in range(2):
        assert Published.load(tmp_path).replace({INFO}, {}, tmp_path) == ({OLD}, {})
    Published.load(tmp_path).cleared(OLD, tmp_path)
    assert Published.load(tmp_path).replace({INFO}, {}, tmp_path) == (set(), {})


def test_a_topic_that_comes_back_is_not_cleared(tmp_path):
    published = Published()
    published.replace({INFO, OLD}, {}, tmp_path)
    published.replace({INFO}, {}, tmp_path)
    assert published.replace({INFO, OLD}, {}, tmp_path) == (set(), {})


def test_an_entity_that_is_gone_is_remembered_for_good(tmp_path):
    Published.load(tmp_path).replace(set(), {"a": "sensor"}, tmp_path)
    for _ in range(2):
        assert Published.load(tmp_path).replace(set(), {"b": "sensor"}, tmp_path) == (set(), {"a": "sensor"})


@pytest.mark.parametrize("content", ["", "[]", "{", '{"topics": 3, "components": [1]}', '{"topics": [1, "x"]}', "\xff"])
def test_a_broken_memory_of_what_was_published_is_no_harm(tmp_path, content):
    (tmp_path / "published.json").write_text(content, encoding="latin-1")
    stale, gone = Published.load(tmp_path).replace(set(), {}, tmp_path)
    assert (stale, gone) == (set(), {})


def test_only_topics_of_our_own_are_ever_cleared():
    assert is_ours("maskwatch/door/info")
    assert is_ours("homeassistant/device/maskwatch-door/config")
    assert not is_ours("homeassistant/status")
    assert not is_ours("maskwatch/#")
    assert not is_ours("")
