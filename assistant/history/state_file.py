"""A conversation as one file: its text and the model's state after it, checked in every bit before it is used.

The file is a safetensors file (https://github.com/huggingface/safetensors#format), so that other programs can read it:
f32 tensors `shift_tmix` [L, D], `wkv` [L, H, key, value], `shift_cmix` [L, D], and in its metadata what they belong to.
`sha256` there is the hash of the whole file with these 64 digits written as zeros.
"""

from __future__ import annotations

import hashlib
import json

import msgspec
import numpy as np
import safetensors
from safetensors.numpy import load, save

from assistant.errors import RequestError
from assistant.history.checkpoints import Checkpoint
from backends.base import ModelConfig, State

FORMAT = "rwkv-assistant-state-"
VERSION = 1
BLANK = "0" * 64
TENSORS = ("shift_tmix", "wkv", "shift_cmix")
TEXT_LIMIT_BYTES = 4 << 20
"""For the conversation's text and the header around it."""


class PastTurn(msgspec.Struct, kw_only=True, frozen=True):
    role: str
    content: str


class Conversation(msgspec.Struct, kw_only=True, frozen=True):
    """The text whose state the file holds; it ends with a reply."""

    title: str = ""
    system: str = ""
    turns: list[PastTurn]


def size_limit(config: ModelConfig) -> int:
    """Bytes that no file for this model exceeds."""
    return 4 * config.state_floats + TEXT_LIMIT_BYTES


def write_state(checkpoint: Checkpoint, conversation: Conversation, model_key: str, model: str) -> bytes:
    """`model_key`: everything that a state depends on, as Checkpoints know it; `model`: a name to tell people."""
    state = checkpoint.state
    metadata = {
        "format": f"{FORMAT}{VERSION}", "sha256": BLANK, "model": model, "model_key": model_key,
        "tokens": str(checkpoint.tokens), "pending": checkpoint.pending.hex(),
        "conversation": msgspec.json.encode(conversation).decode(),
    }  # fmt: skip
    raw = save({name: np.ascontiguousarray(getattr(state, name)) for name in TENSORS}, metadata)
    return raw.replace(BLANK.encode(), hashlib.sha256(raw).hexdigest().encode(), 1)


def read_state(raw: bytes, config: ModelConfig, model_key: str) -> tuple[Checkpoint, Conversation]:
    """Raises RequestError 400 for a file that is no state or is damaged, 409 for another model's."""
    metadata = _metadata(raw)
    found = metadata.get("format", "")
    if not found.startswith(FORMAT):
        raise _bad("it is not a state file of this program")
    if found != f"{FORMAT}{VERSION}":
        raise _bad(f"its version is {found.removeprefix(FORMAT)[:20]!a}, this program knows {VERSION}",
                   "import it with the version of the program that wrote it")  # fmt: skip
    digest = metadata.get("sha256", "").encode()
    if len(digest) != 64 or raw.count(digest) != 1:
        raise _bad("its hash is missing")
    if hashlib.sha256(raw.replace(digest, BLANK.encode())).hexdigest().encode() != digest:
        raise _bad("it is damaged: its hash does not fit its content", "copy it again from where it was exported")
    theirs = metadata.get("model_key", "")
    if theirs != model_key:
        raise RequestError("the state is of another model", status=409, code="state_of_another_model",
                           why=_difference(theirs, model_key, metadata.get("model", "?")),
                           hint="load that model, or continue the chat as text")  # fmt: skip
    return _checkpoint(raw, metadata, config), _conversation(metadata)


def _metadata(raw: bytes) -> dict[str, str]:
    size = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or size > len(raw) - 8 or size > TEXT_LIMIT_BYTES:
        raise _bad("it is cut off, or it is no state file")
    try:
        metadata = json.loads(raw[8 : 8 + size])["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _bad("its header is not in order") from None
    if not isinstance(metadata, dict) or not all(_is_text(value) for value in metadata.values()):
        raise _bad("its header is not in order")
    return metadata


def _is_text(value: object) -> bool:
    """JSON's escapes can spell half a character, which nothing can write again."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def _checkpoint(raw: bytes, metadata: dict[str, str], config: ModelConfig) -> Checkpoint:
    state = State(config)
    try:
        tensors, tokens, pending = load(raw), int(metadata["tokens"]), bytes.fromhex(metadata["pending"])
        for name in TENSORS:
            view, tensor = getattr(state, name), tensors[name]
            if tensor.shape != view.shape or tensor.dtype != np.float32:
                raise _bad(f"its tensor {name} is {tensor.dtype}{list(tensor.shape)}, not float32{list(view.shape)}")
            view[:] = tensor
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise _bad(f"its content is not in order ({type(error).__name__})") from error
    if not np.isfinite(state.data).all() or tokens < 0:
        raise _bad("its state holds NaN or infinity, or a count below zero")
    return Checkpoint(state, tokens, pending)


def _conversation(metadata: dict[str, str]) -> Conversation:
    try:
        conversation = msgspec.json.decode(metadata.get("conversation", ""), type=Conversation)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _bad("its conversation is not in order") from error
    roles = [turn.role for turn in conversation.turns]
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2):
        raise _bad("its conversation is not a change of user and assistant that ends with a reply")
    return conversation


def _difference(theirs: str, ours: str, name: str) -> str:
    """The first part of the key that differs, in words: see Services for how it is made."""
    parts = ("weights", "template", "device or starting state")
    for what, a, b in zip(parts, [*theirs.split("/"), "none"], [*ours.split("/"), "none"], strict=False):
        if a != b:
            return f"its {what} are not the ones loaded" if what == "weights" else f"its {what} is {a}, not {b}"
    return f"it was made with '{name}'"


def _bad(why: str, hint: str | None = None) -> RequestError:
    return RequestError("the state cannot be imported", code="bad_state_file", why=why, hint=hint)
