"""The backends under contract: every entry of the `assistant.backends` group, at each of its precisions."""

from __future__ import annotations

import pytest

from backends import installed
from backends.base import Backend, BackendUnavailable

CASES = [(name, p) for name, kind in installed.kinds().items() for p in kind.info.precisions]


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
        made = installed.kinds()[case[0]]()
    except BackendUnavailable as error:
        pytest.skip(str(error))
    yield made
    made.close()
