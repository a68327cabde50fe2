"""Checkpoints: the model's state after a message, so that resume, fork, retry and undo never prefill again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backends.base import ModelConfig, State

log = logging.getLogger(__name__)

MAGIC = b"RWKVCKP2"  # 2: the wkv memory is [key, value]
IN_MEMORY = 16  # most recent checkpoints that skip the disk
UNSAVED_BYTES = 64 << 20  # of states that wait for a slow disk


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place in a conversation to go on from. Never modified: whoever continues it copies the state.

    `state` has consumed `tokens` tokens; `pending` is text that belongs to the message and is not in the
    state yet; `logits` f32[V] follow the state (only after a user message, so that a reply can start at once).
    """

    state: State
    tokens: int
    pending: bytes = b""
    logits: np.ndarray | None = None


class Checkpoints:
    """Checkpoints by message id: a few in memory, the rest as files below a size cap, the oldest dropped first.

    They belong to one model (`model_key`): another model's are ignored. A lost, torn or foreign file is a miss,
    never an error: the text is in the history and is prefilled again. Files are written by one background
    thread, with a checksum instead of fsync, for that reason.
    """

    def __init__(self, folder: Path | None, config: ModelConfig, model_key: str, cap_bytes: int = 512 << 20):
        self._folder, self._config, self._cap_bytes = folder, config, cap_bytes
        self.model_key = model_key
        self._recent: OrderedDict[str, Checkpoint] = OrderedDict()
        self._unsaved: OrderedDict[str, tuple[Checkpoint, str]] = OrderedDict()  # with their key, the oldest first
        self._stored_bytes: int | None = None  # at least what the files have; None: not counted yet
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, "checkpoints")

    def belong_to(self, model_key: str) -> bool:
        """From now on only states of this key are found; True if that is another one than before."""
        with self._lock:
            if model_key == self.model_key:
                return False
            self.model_key = model_key
            self._recent.clear()
            self._unsaved.clear()
            return True

    def put(self, message_id: str, checkpoint: Checkpoint) -> None:
        with self._lock:
            self._recent[message_id] = checkpoint
            self._recent.move_to_end(message_id)
            while len(self._recent) > IN_MEMORY:
                self._recent.popitem(last=False)
            if not (self._folder and self._cap_bytes):
                return
            self._unsaved[message_id] = checkpoint, self.model_key
            self._unsaved.move_to_end(message_id)
            while len(self._unsaved) > max(1, UNSAVED_BYTES // (4 * self._config.state_floats)):
                self._unsaved.popitem(last=False)  # the disk is too slow: the oldest will be prefilled if needed
        self._writer.submit(self._save_oldest)

    def get(self, message_id: str) -> Checkpoint | None:
        with self._lock:
            if message_id in self._recent:
                self._recent.move_to_end(message_id)
                return self._recent[message_id]
            if message_id in self._unsaved:
                return self._unsaved[message_id][0]
        return self._load(message_id)

    def copy(self, old_id: str, new_id: str) -> None:
        """A fork: the new message's checkpoint is the old one's."""
        if (checkpoint := self.get(old_id)) is not None:
            self.put(new_id, checkpoint)

    def drop(self, message_ids: list[str]) -> None:
        for message_id in message_ids:
            with self._lock:
                self._recent.pop(message_id, None)
                self._unsaved.pop(message_id, None)
            if self._folder:
                self._writer.submit(self._path(message_id).unlink, missing_ok=True)

    def close(self) -> None:
        """Wait for what is being written."""
        self._writer.shutdown(wait=True)

    # --- files: MAGIC, sha256 of the rest, u32 header length, header JSON, state f32, logits f32 ---

    def _path(self, message_id: str) -> Path:
        return self._folder / f"{message_id}.ckpt"

    def _save_oldest(self) -> None:
        with self._lock:
            if not self._unsaved:
                return
            message_id, entry = next(iter(self._unsaved.items()))
        try:
            self._save(message_id, *entry)
        finally:
            with self._lock:
                if self._unsaved.get(message_id) is entry:  # not a newer one
                    del self._unsaved[message_id]

    def _save(self, message_id: str, checkpoint: Checkpoint, model_key: str) -> None:
        logits = checkpoint.logits
        header = json.dumps({
            "model": model_key, "tokens": checkpoint.tokens, "pending": checkpoint.pending.hex(),
            "logits": 0 if logits is None else len(logits),
        }).encode()  # fmt: skip
        body = len(header).to_bytes(4, "little") + header + checkpoint.state.data.tobytes()
        if logits is not None:
            body += logits.astype(np.float32, copy=False).tobytes()
        path = self._path(message_id)
        temporary = path.with_suffix(".tmp")
        try:
            with open(temporary, "wb", opener=lambda p, f: os.open(p, f, 0o600)) as file:
                file.write(MAGIC + hashlib.sha256(body).digest() + body)
            temporary.replace(path)
            self._prune(len(body))
        except OSError as error:
            temporary.unlink(missing_ok=True)
            log.warning("checkpoint %s was not kept: %s; its text will be prefilled when needed", message_id, error)

    def _load(self, message_id: str) -> Checkpoint | None:
        if not self._folder:
            return None
        try:
            raw = self._path(message_id).read_bytes()
        except OSError:
            return None
        body = raw[len(MAGIC) + 32 :]
        if raw[: len(MAGIC)] != MAGIC or hashlib.sha256(body).digest() != raw[len(MAGIC) : len(MAGIC) + 32]:
            log.warning("checkpoint %s is damaged and ignored", message_id)
            return None
        size = int.from_bytes(body[:4], "little")
        header = json.loads(body[4 : 4 + size])
        if header["model"] != self.model_key:
            return None
        floats = np.frombuffer(body, np.float32, offset=4 + size)
        n = self._config.state_floats
        logits = floats[n:].copy() if header["logits"] else None
        return Checkpoint(
            State(self._config, floats[:n].copy()), header["tokens"], bytes.fromhex(header["pending"]), logits
        )

    def _prune(self, added_bytes: int) -> None:
        """Delete the oldest files above the cap, and a tenth more, so that the folder is not read for each file."""
        if self._stored_bytes is not None and self._stored_bytes + added_bytes <= self._cap_bytes:
            self._stored_bytes += added_bytes
            return
        files = sorted((p.stat().st_mtime_ns, p.stat().st_size, p) for p in self._folder.glob("*.ckpt"))
        total = sum(size for _, size, _ in files)
        wanted = self._cap_bytes if total <= self._cap_bytes else self._cap_bytes * 9 // 10
        for _, size, path in files:
            if total <= wanted:
                break
            path.unlink(missing_ok=True)
            total -= size
        self._stored_bytes = total
