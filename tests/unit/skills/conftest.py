"""Skills at a fixed moment, with a folder of their own and no plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from assistant.skills.registry import Registry

ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 23, 14, 5, tzinfo=ZONE)  # a Monday


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """Waiting for the disk is the disk's business."""
    monkeypatch.setattr("os.fsync", lambda _handle: None)


@pytest.fixture
def registry(tmp_path) -> Registry:
    return Registry(root=tmp_path / "skills", plugins=[])


@pytest.fixture
def say(registry) -> Callable[..., str | None]:
    """The text of the answer, or None; `say.skill` tells whose it was."""

    def ask(text: str, now: datetime = NOW, **context) -> str | None:
        answer = registry.answer(text, now=now, **context)
        ask.skill = answer.skill if answer else None
        return answer.text if answer else None

    return ask
