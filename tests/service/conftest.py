"""One machine with a real systemd for all tests of this folder, and the assistant installed on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import VERSION
from tests.service.machine import Machine, NoMachine

SLUGGISH = '''
"""A backend that is slow, and hangs while a file tells it to: what a broken driver looks like."""
import time
from dataclasses import replace
from pathlib import Path

from backends.cpu import CpuBackend

class Sluggish(CpuBackend):
    info = replace(CpuBackend.info, name="sluggish", preference=-1)

    def decode(self, tokens, states):
        while Path("/run/rwkv-assistant-daemon/hang").exists():
            time.sleep(0.05)
        time.sleep(0.03)
        return super().decode(tokens, states)
'''


@pytest.fixture(scope="session")
def machine(installed: Path) -> Iterator[Machine]:
    """Booted after the installation was made: an overlay must not change beneath."""
    site = installed.parent.parent / "lib" / f"python{VERSION}" / "site-packages"
    (site / "sluggish.py").write_text(SLUGGISH)
    about = site / "sluggish-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sluggish\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[assistant.backends]\nsluggish = sluggish:Sluggish\n")
    try:
        made = Machine()
    except NoMachine as error:
        pytest.skip(f"SYSTEMD NOT CHECKED: {error}")
    yield made
    made.close()
