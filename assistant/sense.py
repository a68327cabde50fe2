"""`assistant mood`: how a text sounds, asked of the daemon, or without one of the model or the lexicon right here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from assistant import wire

BAR_WIDTH = 24


@click.command("mood")
@click.argument("text", nargs=-1, required=True)
@click.option("--lexicon", "by_words", is_flag=True, help="Read the words alone, without the model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(text: tuple[str, ...], by_words: bool, as_json: bool) -> None:
    """Tell how TEXT sounds: one of seven feelings, how strong, and how sure that is.

    `-` reads standard input. A daemon that runs is asked, and none is started for it. Nothing is kept. It is a
    reading of words and often wrong; it says nothing about a person's health.
    """
    said = sys.stdin.read() if text == ("-",) else " ".join(text)
    if not said.strip():
        raise click.UsageError("there is no text to read: give TEXT, or pipe it in with `-`")
    answer = _by_words(said) if by_words else _of_daemon(said) or _here(said)
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(answer).decode())
    else:
        click.echo(rendered(answer))


def rendered(answer: wire.MoodAnswer) -> str:
    """The reading as lines for a terminal."""
    mood = answer.mood
    lines = [f"{mood.label} ({mood.valence}), intensity {mood.intensity:.2f}, confidence {mood.confidence:.2f}"]
    for label, share in answer.shares.items():
        filled = round(BAR_WIDTH * share)
        lines.append(f"  {label:<10} {'█' * filled}{'░' * (BAR_WIDTH - filled)} {100 * share:3.0f} %")
    return "\n".join([*lines, f"read by: {mood.source}"])


def _of_daemon(text: str) -> wire.MoodAnswer | None:
    """The daemon's answer, or None where none answers. Raises RequestError for what it refuses."""
    import asyncio

    from assistant import paths
    from assistant.client import Client
    from assistant.errors import DaemonUnavailable

    async def ask() -> wire.MoodAnswer:
        async with Client() as client:
            return await client.mood(text)

    if not paths.client_socket().exists():
        return None
    try:
        return asyncio.run(ask())
    except DaemonUnavailable:
        return None


def _by_words(text: str) -> wire.MoodAnswer:
    from assistant import wire
    from assistant.mood.sensor import Sensor

    found = Sensor().read(text)
    return wire.MoodAnswer(mood=found.mood, shares=found.shares)


def _here(text: str) -> wire.MoodAnswer:
    """Loads the embedded model only if a probe fits it: on the fastest device that works."""
    from assistant import wire
    from assistant.evaluation.command import make_backend
    from assistant.evaluation.talker import Talker
    from assistant.models.store import EMBEDDED, Store
    from assistant.mood.sensor import sensor_of

    store = Store()
    model = store.open(EMBEDDED)
    manifest = model.manifest
    sensor = sensor_of(store.folder(EMBEDDED), manifest.source.sha256, model.weights.config)
    if not sensor.wants_state:
        return _by_words(text)
    backend = make_backend("auto")
    try:
        talker = Talker(backend, model)
        _, state = talker.read(talker.tokens(model.template.user_turn(text)))
    finally:
        backend.close()
    found = sensor.read(text, state)
    return wire.MoodAnswer(mood=found.mood, shares=found.shares)
