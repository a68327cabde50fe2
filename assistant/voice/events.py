"""What the voice tells whoever uses it, and what it can be asked to do; as JSON lines between processes.

Nothing but msgspec: the chat in the terminal reads these without loading what makes them.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Event(msgspec.Struct, tag_field="event", frozen=True):
    """Base of what is told."""


class Ready(Event, tag="ready"):
    """The models are loaded and the microphone is open."""

    took_s: float


class Level(Event, tag="level"):
    """About ten times a second while it listens."""

    dbfs: float  # of the last tenth of a second, 0 being full scale
    speech: float  # probability, 0..1


class Began(Event, tag="began"):
    """Somebody begins to speak. What was being spoken by us, if anything, has been stopped."""

    interrupted: bool


class Understanding(Event, tag="understanding"):
    """They have finished; the text comes next."""

    silence_s: float  # that it took to be sure


class Heard(Event, tag="heard"):
    """An utterance as text; "" when no word was understood."""

    text: str
    audio_s: float
    took_s: float  # to transcribe it
    silence_s: float
    whole: bool = True  # False: cut because of its length, more follows


class Sounding(Event, tag="sounding"):
    """The first sound of what we say is handed to the loudspeaker."""


class Spoken(Event, tag="spoken"):
    """All of it has been heard."""


class Failed(Event, tag="failed"):
    """Something is missing or gone; `fatal`: nothing more will be told."""

    message: str
    fatal: bool = True


Told = Ready | Level | Began | Understanding | Heard | Sounding | Spoken | Failed


class Command(msgspec.Struct, tag_field="do", frozen=True):
    """Base of what is asked."""


class Listen(Command, tag="listen"):
    """`hands-free`: whenever somebody speaks; `button`: between two of these, the second being `off`."""

    how: Literal["hands-free", "button", "off"]


class Say(Command, tag="say"):
    """One piece of text after the other."""

    text: str


class End(Command, tag="end"):
    """No more to say for now: `Spoken` will tell when it has been heard."""


class Hush(Command, tag="hush"):
    """Be silent at once, and forget what was still to be said."""


Asked = Listen | Say | End | Hush
