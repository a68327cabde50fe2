"""The engine for another process: commands as JSON lines on stdin, events as JSON lines on stdout.

The chat in the terminal uses it so: the models, PortAudio and what ALSA writes to stderr stay out of its process, and
a crash here is a notice there.
"""

from __future__ import annotations

import sys
import threading

import msgspec

from assistant.errors import AssistantError
from assistant.voice import events
from assistant.voice.engine import Engine, Options


def run(options: Options, **stand_ins) -> int:
    """Until stdin ends. The exit code."""
    lock = threading.Lock()
    encoder, decoder = msgspec.json.Encoder(), msgspec.json.Decoder(events.Asked)

    def tell(event: events.Told) -> None:
        with lock:
            sys.stdout.buffer.write(encoder.encode(event) + b"\n")
            sys.stdout.buffer.flush()

    try:
        engine = Engine(options, tell, **stand_ins)
    except AssistantError as error:
        tell(events.Failed(str(error)))
        return error.exit_code
    try:
        for line in sys.stdin.buffer:
            try:
                engine.do(decoder.decode(line))
            except msgspec.MsgspecError as error:
                tell(events.Failed(f"not understood: {error}", fatal=False))
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        engine.close()
    return 0
