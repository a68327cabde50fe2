"""Continues a text with an exported RWKV-7 model: python example.py "Once upon a time". Needs onnxruntime and numpy."""

import ast
import os
import sys
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # onnxruntime 1.29 and later report usage to a remote host otherwise

import numpy as np
import onnxruntime

folder = Path(__file__).resolve().parent
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
vocabulary = {}  # id -> bytes
for line in (folder / "vocab.txt").read_text("utf-8").splitlines():
    number, rest = line.split(" ", 1)
    token = ast.literal_eval(rest.rsplit(" ", 1)[0])
    vocabulary[int(number)] = token.encode() if isinstance(token, str) else token
ids, longest = {token: i for i, token in vocabulary.items()}, max(map(len, vocabulary.values()))


def encode(text: bytes) -> list[int]:  # the longest token that fits, again and again
    tokens = []
    while text:
        size = next(n for n in range(min(longest, len(text)), 0, -1) if text[:n] in ids)
        tokens.append(ids[text[:size]])
        text = text[size:]
    return tokens


def forward(tokens: list[int], state: dict) -> tuple:  # any number of tokens: the prompt at once, then one by one
    logits, *state_values = session.run(None, {"tokens": np.array([tokens], np.int64), **state})
    return logits[0], dict(zip(state, state_values, strict=True))


_, *inputs = session.get_inputs()
shapes = {i.name: [n if isinstance(n, int) else 1 for n in i.shape] for i in inputs}  # a batch of one
prompt = " ".join(sys.argv[1:]) or "Hello"
logits, state = forward([0, *encode(prompt.encode())], {n: np.zeros(shape, np.float32) for n, shape in shapes.items()})
for _ in range(40):
    token = int(logits.argmax())
    if token not in vocabulary:  # 0 ends a text
        break
    sys.stdout.buffer.write(vocabulary[token])
    logits, state = forward([token], state)
