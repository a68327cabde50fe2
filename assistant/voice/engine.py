"""Ears and mouth that know of each other: what we say is not taken for somebody else, and speech interrupts it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from assistant.errors import AssistantError
from assistant.voice import events
from assistant.voice.ears import Ears, Source
from assistant.voice.mouth import Mouth, Player
from assistant.voice.segmenter import Timing
from assistant.voice.synthesis import WORDS_PER_MINUTE, open_synthesizer


@dataclass(frozen=True, slots=True)
class Options:
    """How to listen and to speak; the command line's options and the configuration's [voice]."""

    input: str = ""
    output: str = ""
    engine: str = "espeak"
    voice: str = ""
    words_per_minute: int = WORDS_PER_MINUTE
    half_duplex: bool = False
    timing: Timing = field(default_factory=Timing)


class Engine:
    """Whatever happens is passed to `tell`, from several threads. Raises VoiceUnavailable for what is missing."""

    def __init__(
        self,
        options: Options,
        tell: Callable[[events.Told], None],
        *,
        source: Callable[[], Source] | None = None,
        player: Callable[[], Player] | None = None,
    ):
        """`source` and `player` stand in for the devices."""
        from assistant.voice import devices, transcriber, weights
        from assistant.voice.vad import Vad

        began = time.perf_counter()
        synthesizer = open_synthesizer(options.engine, options.voice, options.words_per_minute)
        self._synthesizer = synthesizer
        self.mouth = None
        try:
            # Opened here and not in the threads: what is missing is told before anything begins.
            played = player() if player else devices.Loudspeaker(options.output)
            self.mouth = Mouth(synthesizer, lambda: played, tell)
            opened = source() if source else devices.Microphone(options.input)
            self.ears = Ears(
                lambda: opened, Vad(weights.open_session(weights.VAD)), transcriber.load(), tell,
                timing=options.timing, playing=lambda: self.mouth.level_dbfs, speaking=lambda: self.mouth.speaking,
                hush=self.mouth.hush, half_duplex=options.half_duplex,
            )  # fmt: skip
        except AssistantError:
            if self.mouth:
                self.mouth.close()
            synthesizer.close()
            raise
        self.ears.start()
        tell(events.Ready(time.perf_counter() - began))

    def do(self, command: events.Asked) -> None:
        match command:
            case events.Listen():
                self.ears.listen(command.how)
            case events.Say():
                self.mouth.say(command.text)
            case events.End():
                self.mouth.end()
            case events.Hush():
                self.mouth.hush()

    def close(self) -> None:
        self.ears.close()
        self.mouth.close()
        self._synthesizer.close()
