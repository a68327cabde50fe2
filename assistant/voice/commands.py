"""`assistant talk`, `listen`, `say` and `voice`: options in, the pieces of this room joined, text and sound out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assistant.errors import EXIT_UNAVAILABLE, VoiceUnavailable

if TYPE_CHECKING:
    from assistant.voice.engine import Options

EXIT_INTERRUPTED = 130  # as after SIGINT


def _silent(unfiltered: bool) -> None:
    """From here on this process cannot reach a network either; what it plays and records stays here."""
    from assistant import silence

    if not unfiltered:
        silence.fall_silent()


def _options(**given: Any) -> Options:
    """The command line over the configuration's [voice]."""
    from assistant import config
    from assistant.voice.engine import Options
    from assistant.voice.segmenter import Timing

    settings = config.load().voice
    chosen = {name: getattr(settings, name) if given.get(name) is None else given[name]
              for name in ("input", "output", "engine", "voice", "words_per_minute", "half_duplex")}  # fmt: skip
    if given.get("engine") not in (None, settings.engine) and given.get("voice") is None:
        chosen["voice"] = ""  # the configured voice belongs to the configured engine
    return Options(**chosen, timing=Timing(end_s=settings.end_s))


def _speaking_options(command):
    """Shared by `say` and `talk`."""
    for option in (
        click.option("--engine", type=click.Choice(["espeak", "piper"]), help="What speaks."),
        click.option("--voice", metavar="NAME", help="A voice of espeak-ng, or a .onnx file for piper."),
        click.option("--rate", "words_per_minute", type=click.IntRange(80, 450), help="Words per minute."),
        click.option("--output", metavar="DEVICE", help="Loudspeaker: part of its name, or its number."),
        click.option("--unfiltered", is_flag=True, hidden=True),
    ):
        command = option(command)
    return command


@click.command("say")
@click.argument("text", nargs=-1)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="WAV", help="Write a file instead.")
@_speaking_options
def say(text: tuple[str, ...], out: Path | None, unfiltered: bool, **given: Any) -> None:
    """Turn TEXT, or what is piped in, into speech."""
    _silent(unfiltered)
    words = " ".join(text) or ("" if sys.stdin.isatty() else sys.stdin.read())
    if not words.strip():
        raise click.UsageError("nothing to say: give TEXT or pipe a text in")
    options = _options(**given)
    from assistant.voice import synthesis, wav

    synthesizer = synthesis.open_synthesizer(options.engine, options.voice, options.words_per_minute)
    try:
        if out:
            wav.write(out, synthesis.whole(synthesizer, words), synthesizer.rate_hz)
        else:
            _play(synthesizer, words, options.output)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    finally:
        synthesizer.close()


def _play(synthesizer: Any, text: str, output: str) -> None:
    """As a reply is spoken; returns when all of it has been heard."""
    import queue

    from assistant.voice import devices, events
    from assistant.voice.mouth import Mouth
    from assistant.voice.sentences import Sentences

    told: queue.Queue = queue.Queue()
    player, sentences = devices.Loudspeaker(output), Sentences()
    mouth = Mouth(synthesizer, lambda: player, told.put)
    try:
        for piece in (*sentences.push(text), *sentences.end()):
            mouth.say(piece)
        mouth.end()
        while not isinstance(event := told.get(), events.Spoken):
            if isinstance(event, events.Failed):
                raise VoiceUnavailable(event.message)
    finally:
        mouth.close()


@click.command("listen")
@click.option("--file", "recording", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="WAV",
              help="Transcribe a recording instead of the microphone.")  # fmt: skip
@click.option("--continuous", is_flag=True, help="Go on until Ctrl+C; one line for each utterance.")
@click.option("--push-to-talk", is_flag=True, help="Space or Enter begins and ends an utterance.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each utterance, with its times.")
@click.option("--input", "input_device", metavar="DEVICE", help="Microphone: part of its name, or its number.")
@click.option("--unfiltered", is_flag=True, hidden=True)
def listen(recording: Path | None, continuous: bool, push_to_talk: bool, as_json: bool, input_device: str | None,
           unfiltered: bool) -> None:  # fmt: skip
    """Turn speech into text: what is said next, or a recording.

    The text goes to stdout, everything else to stderr. Nothing is sent anywhere, and no sound is kept.
    """
    _silent(unfiltered)
    options = _options(input=input_device)
    from assistant.voice import listening

    try:
        if recording:
            found = listening.from_file(recording, as_json, options.timing)
        else:
            found = listening.from_microphone(options, continuous, push_to_talk, as_json)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    if not found:
        click.echo("note: no speech was understood", err=True)
        sys.exit(1)


@click.command("talk")
@click.option("--push-to-talk", is_flag=True, help="Space or Enter begins and ends an utterance.")
@click.option("--wake", metavar="WORD", help="Answer only what begins with this word.")
@click.option("--chat", metavar="ID", help="Go on with this chat.")
@click.option("--continue", "-c", "resume", is_flag=True, help="Go on with the newest chat.")
@click.option("--half-duplex/--barge-in", default=None, help="Hear nothing while it speaks; or let speech interrupt.")
@click.option("--turns", type=click.IntRange(min=1), help="Leave after so many replies.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each exchange, with its times.")
@click.option("--input", "input_device", metavar="DEVICE", help="Microphone: part of its name, or its number.")
@_speaking_options
def talk(push_to_talk: bool, wake: str | None, chat: str | None, resume: bool, turns: int | None, as_json: bool,
         input_device: str | None, unfiltered: bool, **given: Any) -> None:  # fmt: skip
    """Talk with the assistant: it listens, answers aloud, and stops when you speak.

    Starts the daemon if none runs. The conversation is a chat like any other. Ctrl+C leaves.
    """
    if chat and resume:
        raise click.UsageError("--chat and --continue exclude each other")
    if push_to_talk and wake:
        raise click.UsageError("--push-to-talk and --wake exclude each other: a key is enough")
    options = _options(input=input_device, **given)
    if wake is None:
        from assistant import config

        wake = "" if push_to_talk else config.load().voice.wake
    from assistant.launch import ensure_daemon

    # Before the filter: a daemon that we start must be free to open the door that its configuration names.
    ensure_daemon(lambda status: click.echo(f"{status} ...", err=True))
    _silent(unfiltered)
    from assistant.voice import terminal

    sys.exit(terminal.run(options, chat_id="last" if resume else chat, wake_word=wake, push_to_talk=push_to_talk,
                          turns=turns, as_json=as_json))  # fmt: skip


@click.group("voice", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
def voice(context: click.Context, as_json: bool) -> None:
    """What speech needs, whether it is there, and how to get what is missing."""
    if context.invoked_subcommand:
        return
    import msgspec

    from assistant.voice import inventory

    parts = inventory.parts()
    if as_json:
        click.echo(msgspec.json.encode(parts).decode())
    else:
        for part in parts:
            mark = "ok     " if part.present else "missing" if not part.optional else "not set"
            click.echo(f"{mark} {part.name:<16} {part.what_for} ({part.detail})")
            if not part.present:
                click.echo(f"{'':<24} {part.install}")
    if any(not part.present and not part.optional for part in parts):
        sys.exit(EXIT_UNAVAILABLE)


@voice.command("devices")
@click.option("--json", "as_json", is_flag=True)
def voice_devices(as_json: bool) -> None:
    """List microphones and loudspeakers."""
    import msgspec

    from assistant.voice import devices

    found = devices.devices()
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    for d in found:
        marks = "".join((">" if d.is_default_input else " ", "<" if d.is_default_output else " "))
        click.echo(f"{d.index:>3} {marks} {d.name} ({d.host}): {d.inputs} in, {d.outputs} out, {d.rate_hz} Hz")
    if not found:
        raise VoiceUnavailable("there is no sound device", hint="Connect one; `aplay -l` shows what the kernel sees")
    click.echo("> default microphone, < default loudspeaker", err=True)


@voice.command("bench")
@click.option("--engine", type=click.Choice(["espeak", "piper"]), multiple=True, help="Whose voice; default: all.")
@click.option("--sentences", type=click.IntRange(min=1), help="Only the first ones.")
@click.option("--json", "as_json", is_flag=True)
@click.option("--unfiltered", is_flag=True, hidden=True)
def voice_bench(engine: tuple[str, ...], sentences: int | None, as_json: bool, unfiltered: bool) -> None:
    """Measure word errors and speed of speech to text, on sentences that are spoken by a machine."""
    _silent(unfiltered)
    import msgspec

    from assistant.voice import bench

    results = bench.run(engine, sentences)
    click.echo(msgspec.json.encode(results).decode() if as_json else bench.table(results))


@voice.command("pipe", hidden=True)
@click.option("--unfiltered", is_flag=True, hidden=True)
def voice_pipe(unfiltered: bool) -> None:
    """Commands on stdin, events on stdout, one JSON object a line: for the chat in the terminal."""
    _silent(unfiltered)
    from assistant.voice import pipe

    sys.exit(pipe.run(_options()))


@voice.command("wyoming")
@click.option("--uri", default="unix", metavar="URI", help="unix://PATH or tcp://127.0.0.1:PORT; default: a socket in"
              " the runtime folder.")  # fmt: skip
@click.option("--chat/--no-chat", "with_chat", default=True, help="Also answer as a conversation agent.")
@click.option("--engine", type=click.Choice(["espeak", "piper"]), help="What speaks.")
@click.option("--voice", "voice_name", metavar="NAME", help="Its voice.")
def voice_wyoming(uri: str, with_chat: bool, engine: str | None, voice_name: str | None) -> None:
    """Serve speech to Home Assistant, by the Wyoming protocol."""
    from assistant.voice import wyoming

    try:
        wyoming.serve(uri, _options(engine=engine, voice=voice_name), with_chat)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
