"""The voice's line: who is speaking, how loud it is, and the key that begins and ends what is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from assistant.voice import events
from assistant.voice.sentences import Sentences

KEY = "f12"
QUIET_DBFS, LOUD_DBFS, CELLS = -60.0, -6.0, 16
WORDS = {  # state -> glyph, words, colour
    "off": ("○", "F12 talks: press it, speak, press it again", "$text-muted"),
    "starting": ("◌", "loading the voice ...", "$text-muted"),
    "hearing": ("●", "hearing you · F12 when you have finished · Esc forgets it", "$text-error"),
    "understanding": ("◐", "understanding ...", "$text-warning"),
    "thinking": ("◐", "thinking ...", "$text-warning"),
    "speaking": ("▶", "speaking · F12 interrupts", "$text-success"),
    "failed": ("✘", "", "$text-error"),
}


class Voice(Protocol):
    """See `assistant.tui.voice.VoiceProcess`."""

    def events(self) -> AsyncIterator[events.Told]: ...
    def send(self, *commands: events.Asked) -> None: ...
    async def close(self) -> None: ...


class VoiceBar(Widget):
    HELP = (
        "Talking instead of typing, on this machine only. F12 begins what you say, F12 again ends it: the text is sent "
        "and its reply is read aloud. F12 during a reply interrupts it. The meter shows how loud you are. The "
        "microphone is off at all other times, and no sound is kept."
    )
    DEFAULT_CSS = """
    VoiceBar { height: 1; padding: 0 2; }
    """

    state: reactive[str] = reactive("off")
    level_dbfs: reactive[float] = reactive(QUIET_DBFS)
    problem: reactive[str] = reactive("")

    class Said(Message):
        """The person has said this; it is to be sent."""

        def __init__(self, text: str):
            super().__init__()
            self.text = text

    class Interrupted(Message):
        """The person speaks: what is being written is not wanted any more."""

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self._voice, self._followed, self._aloud = voice, False, False
        self._sentences = Sentences()

    def render(self) -> Content:
        glyph, words, colour = WORDS[self.state]
        if self.state == "hearing":
            share = (self.level_dbfs - QUIET_DBFS) / (LOUD_DBFS - QUIET_DBFS)
            cells = round(CELLS * min(1.0, max(0.0, share)))
            rest = ("▯" * (CELLS - cells), "$text-muted")
            return Content.assemble((f"{glyph} {'▮' * cells}", colour), rest, f" {words}")
        return Content.assemble((f"{glyph} {self.problem or words}", colour))

    # --- what the person does ---

    def toggle(self) -> None:
        """The key."""
        match self.state:
            case "starting":
                return
            case "hearing":
                self._voice.send(events.Listen("off"))
                self.state = "understanding"
                return
            case "thinking" | "speaking":
                self._aloud, self._sentences = False, Sentences()
                self.post_message(self.Interrupted())
        self.problem = ""
        if self._followed:
            self._listen()
        else:
            self._followed, self.state = True, "starting"
            self.run_worker(self._follow(), group="voice")

    def on_click(self) -> None:
        self.toggle()

    def forget(self) -> bool:
        """Escape: be silent, and listen no more. False if there was nothing to do."""
        if self.state in ("off", "failed", "starting"):
            return False
        was_hearing, self.state = self.state == "hearing", "off"
        self._aloud = False
        self._drop = was_hearing
        self._voice.send(events.Hush(), events.Listen("off"))
        return was_hearing

    _drop = False  # what was being said when it was taken back

    def _listen(self) -> None:
        self.state, self._drop = "hearing", False
        self._voice.send(events.Hush(), events.Listen("button"))

    # --- the reply, as it is written ---

    def push(self, text: str) -> None:
        """Read aloud, if it answers something that was said."""
        if self._aloud:
            self._voice.send(*map(events.Say, self._sentences.push(text)))

    def end(self) -> None:
        if self._aloud:
            self._voice.send(*map(events.Say, self._sentences.end()), events.End())
            self._aloud = False

    # --- what the voice tells ---

    async def _follow(self) -> None:
        try:
            async for event in self._voice.events():
                self._told(event)
        finally:
            self._followed = False

    def _told(self, event: events.Told) -> None:
        match event:
            case events.Ready():
                self._listen()
            case events.Level():
                self.level_dbfs = event.dbfs
            case events.Understanding() if self.state == "hearing":  # the longest time is over
                self.state = "understanding"
            case events.Heard() if self._drop:
                self._drop = False
            case events.Heard(text=""):
                self.state, self.problem = "off", "no word was understood · F12 tries again"
            case events.Heard():
                self.state, self._aloud, self._sentences = "thinking", True, Sentences()
                self.post_message(self.Said(event.text))
            case events.Sounding():
                self.state = "speaking"
            case events.Spoken() if self.state in ("speaking", "thinking"):
                self.state = "off"
            case events.Failed():
                self.state, self.problem, self._aloud = "failed", event.message, False

    async def on_unmount(self) -> None:
        await self._voice.close()
