"""Speech to text: Moonshine tiny-en in ONNX Runtime, greedy, with a cache of keys and values.

Moonshine (Jeffries et al. 2024, https://arxiv.org/abs/2410.15608, MIT): raw 16 kHz samples into an encoder whose work
grows with the length of the speech (Whisper always pays for 30 s), and a decoder with cross-attention to it.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from assistant.voice.vad import RATE_HZ, Session

BEGIN, END = 1, 2  # token ids
TOKENS_PER_S = 6.5
"""As in Moonshine's own code: more tokens than this is not speech but the decoder repeating itself."""
SHORTEST_S = 0.5
"""Shorter sound is filled up with silence: the encoder's convolutions need some."""
SPACE = "\u2581"


class Transcriber:
    """One model of 27 M parameters, int8; not for two threads at once."""

    def __init__(self, encoder: Session, decoder: Session, tokens: list[bytes]):
        self._encoder, self._decoder, self._tokens = encoder, decoder, tokens
        self._past = {name: shape for name, shape in decoder.inputs.items() if name.startswith("past_key_values.")}

    def __call__(self, samples: np.ndarray) -> str:
        """`samples`: f32[n] at 16 kHz, one utterance. The text; "" where nothing is understood."""
        missing = max(0, int(SHORTEST_S * RATE_HZ) - len(samples))
        heard = np.pad(np.asarray(samples, np.float32), (0, missing))[None]
        hidden = self._encoder.run({"input_values": heard, "attention_mask": np.ones(heard.shape, np.int64)})
        hidden = hidden["last_hidden_state"]  # f32[1, frames, 288]
        ids = self._decode(hidden, ceil(len(samples) / RATE_HZ * TOKENS_PER_S) + 1)
        text = b"".join(self._tokens[i] for i in ids).decode("utf-8", "replace")
        return text.replace(SPACE, " ").strip()

    def _decode(self, hidden: np.ndarray, limit: int) -> list[int]:
        # The first pass computes the keys and values of the encoder's output; later ones only read them.
        past = {name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in self._past.items()}
        fixed = {"encoder_hidden_states": hidden, "encoder_attention_mask": np.ones(hidden.shape[:2], np.int64)}
        ids, token = [], BEGIN
        for step in range(limit):
            given = {"input_ids": np.array([[token]]), "use_cache_branch": np.array([step > 0])}
            out = self._decoder.run(given | fixed | past)
            for name in past:
                if step == 0 or ".decoder." in name:
                    past[name] = out[name.replace("past_key_values", "present")]
            token = int(out["logits"][0, -1].argmax())
            if token == END:
                break
            ids.append(token)
        return ids


def read_tokens(data: bytes) -> list[bytes]:
    """Moonshine's tokenizer file: the bytes of each token behind their number, which takes one byte up to 127 and two
    (low seven bits first, with the high bit set) beyond; a zero stands for a token without text."""
    tokens, at = [], 0
    while at < len(data):
        length, at = data[at], at + 1
        if length >= 128:
            length, at = length - 128 + data[at] * 128, at + 1
        tokens.append(data[at : at + length])
        at += length
    return tokens


def load(threads: int = 1) -> Transcriber:
    """From the installed package. One thread: on two busy cores a second one made it slower (real-time factor 0.14 and
    0.23, medians of one interleaved run), because the matrices are small. Raises VoiceUnavailable."""
    from assistant.voice import weights

    tokens = read_tokens(weights.find(weights.TOKENIZER).read_bytes())
    # Neither is a word: the marks of the beginning and of the end, and those reserved for training.
    tokens = [b"" if i <= END or token.startswith(b"<<ST_") else token for i, token in enumerate(tokens)]
    return Transcriber(
        weights.open_session(weights.ENCODER, threads), weights.open_session(weights.DECODER, threads), tokens
    )
