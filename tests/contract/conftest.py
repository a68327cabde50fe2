"""The backends under contract: every entry of the `assistant.backends` group, at each of its precisions."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

from backends.base import Backend, BackendUnavailable

BACKENDS = {entry.name: entry for entry in entry_points(group="assistant.backends")}
CASES = [(name, p) for name, entry in sorted(BACKENDS.items()) for p in entry.load().info.precisions]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request) -> tuple[str, str]:
    return request.param


@pytest.fixture
def precision(case) -> str:
    return case[1]


@pytest.fixture
def backend(case) -> Backend:
    """A fresh, unloaded backend; skipped, with its reason, where the device is missing."""
    try:
        made = BACKENDS[case[0]].load()()
    except BackendUnavailable as error:
        pytest.skip(str(error))
    yield made
    made.close()
