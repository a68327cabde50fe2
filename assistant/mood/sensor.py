"""What a message sounds like: by the probe of the model that runs, or by the lexicon."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from assistant import wire
from assistant.errors import ModelFileError
from assistant.mood.labels import LABELS
from assistant.mood.lexicon import lexicon
from assistant.mood.probe import PROBE_FILE, Probe, load_probe, state_features
from assistant.mood.stack import Reading
from backends.base import ModelConfig, State

STATE_PROBE, LEXICON = "state probe", "lexicon"
log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A reading and where it comes from: STATE_PROBE or LEXICON."""

    reading: Reading
    source: str

    @property
    def mood(self) -> wire.Mood:
        reading = self.reading
        return wire.Mood(label=reading.label, valence=reading.valence, intensity=round(reading.intensity, 3),
                         confidence=round(reading.confidence, 3), source=self.source)  # fmt: skip

    @property
    def shares(self) -> dict[str, float]:
        """Each of the seven labels with its share."""
        return {label: round(float(share), 4) for label, share in zip(LABELS, self.reading.feelings, strict=True)}


Read = Callable[[str], Found]


class Sensor:
    """Reads moods; keeps nothing of what it reads. Any thread may call it."""

    def __init__(self, probe: Probe | None = None):
        self._lexicon, self._probe = lexicon(), probe

    @property
    def wants_state(self) -> bool:
        """Whether the state after a message would tell more than its words."""
        return self._probe is not None

    def reader(self, state: State | None) -> Read:
        """What reads the text that `state` ends with, where the reply would begin. Copies what it needs of the state,
        so that the state may go on; nothing else is done yet."""
        if self._probe is None or state is None:
            return lambda text: Found(self._lexicon.read(text), LEXICON)
        probe, seen = self._probe, state_features(state)
        return lambda text: Found(probe.read(text, seen), STATE_PROBE)

    def read(self, text: str, state: State | None = None) -> Found:
        return self.reader(state)(text)


def sensor_of(folder: Path, model_sha256: str, config: ModelConfig, tuned: bool = False) -> Sensor:
    """The sensor of a model in its folder of the store. `tuned`: it starts from a state that no probe was made for."""
    try:
        probe = None if tuned else load_probe(folder / PROBE_FILE, model_sha256, config, lexicon().words)
    except ModelFileError as error:
        log.warning("%s; moods are read by the lexicon", error)
        probe = None
    return Sensor(probe)
