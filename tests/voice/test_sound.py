"""The pure pieces between a device and the models: files, sample rates, levels, frames, where an utterance ends."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import AssistantError
from assistant.voice import wav
from assistant.voice.devices import Pace
from assistant.voice.level import EchoGate, level_dbfs, meter
from assistant.voice.resample import Resampler, resample
from assistant.voice.segmenter import FRAME_S, Began, Ended, Framer, Segmenter, Timing
from assistant.voice.vad import CONTEXT, FRAME, RATE_HZ, Vad


def tone(hz: float, rate_hz: int, seconds: float = 0.5) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(rate_hz * seconds)) / rate_hz)).astype(np.float32)


def recording(data: bytes, rate_hz: int, width: int, channels: int) -> io.BytesIO:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, width, rate_hz, 0, "NONE", ""))
        out.writeframes(data)
    file.seek(0)
    return file


# --- WAV ---


def test_a_recording_comes_back(tmp_path):
    sound = tone(440, 22_050)
    wav.write(tmp_path / "a.wav", sound, 22_050)
    again, rate_hz = wav.read(tmp_path / "a.wav")
    assert rate_hz == 22_050
    np.testing.assert_allclose(again, sound, atol=1e-4)
    assert [file.name for file in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width_and_two_channels(width):
    left, right = tone(300, 8000, 0.05), np.zeros(400, np.float32)
    both = np.stack([left, right], 1).reshape(-1).astype(np.float64)
    if width == 1:
        data = (both * 127 + 128).round().astype(np.uint8).tobytes()
    else:
        whole = (both * (2 ** (8 * width - 1) - 1)).round().astype("<i8")
        data = b"".join(int(v).to_bytes(width, "little", signed=True) for v in whole)
    samples, _ = wav.read(recording(data, 8000, width, 2))
    np.testing.assert_allclose(samples, left / 2, atol=0.01)


def test_what_is_no_recording_is_told(tmp_path):
    (tmp_path / "text.wav").write_text("RIFFnothing")
    with pytest.raises(AssistantError, match="not a PCM WAV"):
        wav.read(tmp_path / "text.wav")
    with pytest.raises(AssistantError, match="cannot read"):
        wav.read(tmp_path / "none.wav")
    with pytest.raises(AssistantError, match="too long"):
        wav.read(recording(bytes(2 * 700 * 100), 100, 2, 1))


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(AssistantError, match="cannot write"):
        wav.write(tmp_path / "there", tone(440, 8000), 8000)
    assert [entry.name for entry in tmp_path.iterdir()] == ["there"]


# --- sample rates ---


@pytest.mark.parametrize("source_hz", [8000, 11_025, 22_050, 44_100, 48_000])
def test_a_tone_keeps_its_pitch_and_strength(source_hz):
    out = resample(tone(1000, source_hz, 1.0), source_hz, RATE_HZ)
    assert len(out) == RATE_HZ
    np.testing.assert_allclose(out[800:-800], tone(1000, RATE_HZ, 1.0)[800:-800], atol=2e-3)


def test_what_the_lower_rate_cannot_hold_is_gone():
    """10 kHz would come back as 6 kHz, as loud as it was."""
    loud, left = tone(10_000, 48_000, 1.0), resample(tone(10_000, 48_000, 1.0), 48_000, RATE_HZ)
    assert level_dbfs(left[800:-800]) < level_dbfs(loud) - 60


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=12), st.sampled_from([(44_100, 16_000), (16_000, 48_000)]))
@settings(max_examples=12, deadline=None)
def test_pieces_of_any_size_give_the_same(sizes, rates):
    sound = np.random.default_rng(1).standard_normal(sum(sizes)).astype(np.float32)
    resampler, pieces = Resampler(*rates), np.split(sound, np.cumsum(sizes)[:-1])
    out = np.concatenate([*(resampler.push(piece) for piece in pieces), resampler.flush()])
    assert len(out) == -(-len(sound) * rates[1] // rates[0])
    np.testing.assert_allclose(out, resample(sound, *rates), atol=1e-5)


def test_a_rate_is_a_positive_number():
    with pytest.raises(ValueError):
        Resampler(0, RATE_HZ)


def test_a_device_that_never_waits_is_held_back():
    now, slept = [0.0], []
    pace = Pace(16_000, lambda: now[0], slept.append)
    pace.wait(4000)
    assert slept == []  # a quarter of a second is what a real device's buffers may give
    pace.wait(16_000)
    assert slept == [pytest.approx(1.0)]
    now[0] = 10.0  # a real device is never ahead
    pace.wait(16_000)
    assert len(slept) == 1


# --- levels ---


def test_levels():
    assert level_dbfs(np.ones(100, np.float32)) == pytest.approx(0.0, abs=1e-6)
    assert level_dbfs(np.full(100, 0.1, np.float32)) == pytest.approx(-20.0, abs=0.01)
    assert level_dbfs(np.zeros(100, np.float32)) == level_dbfs(np.zeros(0, np.float32)) == -90.0
    assert (meter(-90), meter(0)) == (0.0, 1.0)


def test_the_echo_gate_learns_how_loud_we_come_back_and_lets_louder_sound_through():
    gate = EchoGate()
    assert gate.admits(-30, None)  # nothing is played
    assert not any(gate.admits(-40, -20) for _ in range(60))  # our own voice, 20 dB down
    assert not gate.admits(-34, -20)
    assert gate.admits(-25, -20)  # somebody beside it
    assert not gate.admits(-40, None)  # the room still rings
    for _ in range(gate._played.maxlen):
        gate.admits(-40, None)
    assert gate.admits(-40, None)


def test_an_interruption_does_not_become_the_echo():
    gate = EchoGate()
    for _ in range(90):
        gate.admits(-40, -20)
    assert all(gate.admits(-22, -20) for _ in range(30))  # a second of speech


# --- frames and utterances ---


@given(st.lists(st.integers(0, 1500), max_size=20))
@settings(max_examples=30, deadline=None)
def test_frames_are_whole_and_nothing_is_lost(sizes):
    sound, framer = np.arange(sum(sizes), dtype=np.float32), Framer()
    frames = [frame for piece in np.split(sound, np.cumsum(sizes)) for frame in framer.push(piece)] + framer.flush()
    assert all(len(frame) == FRAME for frame in frames)
    np.testing.assert_array_equal(np.concatenate([*frames, np.zeros(0)])[: len(sound)], sound)


def numbered(count: int) -> list[np.ndarray]:
    return [np.full(FRAME, i, np.float32) for i in range(count)]


def hear(probabilities: list[float], timing: Timing | None = None, interrupting: bool = False):
    """(frame's number, event) of all that happens."""
    segmenter = Segmenter(timing)
    frames = zip(numbered(len(probabilities)), probabilities, strict=True)
    happened = [(i, segmenter.push(frame, p, interrupting)) for i, (frame, p) in enumerate(frames)]
    return [(i, event) for i, event in happened if event], segmenter


def frames_of(seconds: float) -> int:
    return round(seconds / FRAME_S)


def test_an_utterance_keeps_what_came_before_it_and_loses_the_silence_after():
    (began, ended), _ = hear([0.0] * 30 + [0.9] * 40 + [0.1] * 30)
    assert isinstance(began[1], Began)
    assert 30 + 3 <= began[0] <= 30 + 4  # a tenth of a second of speech
    assert isinstance(ended[1], Ended)
    assert ended[0] == 69 + 19  # 0.6 s of silence
    first, last = ended[1].samples[0], ended[1].samples[-1]
    assert first < 30 - frames_of(0.25)
    assert last == 69 + frames_of(0.4)
    assert ended[1].silence_s == pytest.approx(19 * FRAME_S)


def test_a_click_is_no_speech_and_a_pause_no_end():
    assert hear([0.0] * 10 + [0.9, 0.9] + [0.0] * 40)[0] == []
    happened, _ = hear([0.9] * 20 + [0.1] * 12 + [0.9] * 20 + [0.0] * 25)
    assert [type(event) for _, event in happened] == [Began, Ended]


def test_between_the_two_thresholds_speech_goes_on_but_does_not_begin():
    assert hear([0.4] * 50)[0] == []
    happened, segmenter = hear([0.9] * 10 + [0.4] * 100)
    assert [type(event) for _, event in happened] == [Began]
    assert segmenter.speaking


def test_interrupting_takes_longer():
    short = [0.0] * 20 + [0.9] * 6 + [0.0] * 30
    assert hear(short, interrupting=True)[0] == []
    assert len(hear(short)[0]) == 2
    assert isinstance(hear([0.0] * 20 + [0.9] * 10, interrupting=True)[0][0][1], Began)


def test_endless_speech_comes_in_parts_and_nothing_between_them_is_lost():
    happened, segmenter = hear([0.9] * 100, Timing(longest_s=1.0))
    parts = [event for _, event in happened if isinstance(event, Ended)] + [segmenter.flush()]
    assert [part.whole for part in parts] == [False] * (len(parts) - 1) + [True]
    np.testing.assert_array_equal(np.unique(np.concatenate([part.samples for part in parts])), np.arange(100))


def test_the_end_of_the_sound_ends_an_utterance():
    _, segmenter = hear([0.9] * 10)
    assert len(segmenter.flush().samples) == 10 * FRAME
    assert segmenter.flush() is None


def test_the_vad_passes_on_its_state_and_the_samples_before():
    seen = []

    class Model:
        inputs: dict = {}  # noqa: RUF012

        def run(self, inputs):
            seen.append(inputs)
            return {"output": np.array([[0.25]], np.float32), "stateN": inputs["state"] + 1}

    vad, frames = Vad(Model()), numbered(3)[1:]
    assert [vad(frame) for frame in frames] == [0.25, 0.25]
    assert seen[1]["input"].shape == (1, CONTEXT + FRAME)
    assert (seen[1]["input"][0, :CONTEXT] == 1).all()
    assert (seen[1]["state"] == 1).all()
    vad.reset()
    vad(frames[0])
    assert not seen[2]["state"].any()
