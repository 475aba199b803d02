"""Fixtures that more than one room uses."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photographs and clips, beside the checkout; tests that use it are marked `shared_data`."""
    return SHARED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with a reason, what needs the real photographs where they are absent."""
    if (SHARED / "data" / "splits.csv").is_file():
        return
    skip = pytest.mark.skip(reason=f"needs the photographs of {SHARED}, which are not here")
    for item in items:
        if "shared_data" in item.keywords:
            item.add_marker(skip)
