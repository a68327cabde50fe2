"""Bad inputs by the million: seeded mutations of good files for everything that reads what others wrote.

`python -m tests.soak.fuzz COUNT` runs COUNT inputs over all targets on all cores and prints a table. Each input has to
be accepted or to be refused with the error that the loader documents, within a second and within bounded memory. A
failure prints its target and number: `python -m tests.soak.fuzz --replay TARGET NUMBER` runs that one alone.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import logging
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from assistant import config, wire
from assistant.daemon.ollama_api import OllamaChat
from assistant.daemon.responses_api import ResponseRequest
from assistant.errors import AssistantError
from assistant.history import Checkpoint, Checkpoints
from assistant.history.state_file import Conversation, PastTurn, read_state, write_state
from assistant.models.gguf_file import read_gguf
from assistant.models.manifest import read_manifest
from assistant.models.packed import load_packed, save_packed
from assistant.models.pickled import read_tensor_pickle
from assistant.models.pth import read_pth
from assistant.models.quantize import pack
from assistant.models.safetensors_file import read_safetensors, write_safetensors
from assistant.models.source import read_source
from assistant.models.states import load_state, read_tuned_state
from assistant.models.template import TEMPLATES
from assistant.models.tokenizer import Tokenizer
from assistant.models.vocabulary import read_vocabulary, write_vocabulary
from assistant.session.constrained import Grammars
from backends.base import ModelConfig, State, Weights
from tests.unit.models.files import BF16, blinkdl, small_tensors, state_dict_pickle, write_gguf, write_pth

SLOWEST_S = 1.0
MEMORY_BYTES = 3 << 30
CHUNK = 2000
TINY = ModelConfig(layers=1, width=8, heads=1, head_size=8, vocab=16, ffn=8, decay_rank=2, iclr_rank=2,
                   value_rank=0, gate_rank=2)  # fmt: skip
FEW = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, BF16)}
TOKENS = [b"", *(bytes([b]) for b in range(256)), b"the", "ü".encode()]
WORDS = [b"\0", b"\xff", b"{", b"}", b"[", b'"', b":", b"\\", b"-1", b"1e999", b"null", b"\n\n", b"User:", b"[" * 64,
         b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"999999999999999999999", b"../../etc/passwd", b"\xed\xa0\x80",
         b"__reduce__", b"cos\nsystem\n", b"torch", b"builtins\neval\n", b"\x80\x04"]  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One reader: good inputs to begin with, and what it is given. False or an error of `refuses` is a refusal."""

    name: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[bytes, Path], Any]
    refuses: tuple[type[Exception], ...] = (AssistantError,)
    share: float = 1.0


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A good input with a few things wrong, or now and then pure noise."""
    data = bytearray(rng.choice(seeds))
    if rng.random() < 0.02:
        return rng.randbytes(rng.randrange(200))
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        # Where structure is: mostly near the beginning, sometimes near the end.
        size = len(data)
        if not size:
            return b""
        at = rng.randrange(size) if rng.random() < 0.5 else int(size * rng.random() ** 4)
        at = size - 1 - at if rng.random() < 0.25 else at
        match rng.randrange(8):
            case 0 | 1:
                data[at] ^= 1 << rng.randrange(8)
            case 2:
                data[at] = rng.randrange(256)
            case 3:
                word = rng.choice(WORDS)
                data[at : at + rng.choice((0, len(word)))] = word
            case 4:
                del data[at : at + rng.choice((1, 2, 4, 8, 64, 1024))]
            case 5:
                end = min(size, at + rng.choice((1, 4, 8, 32)))
                data[at:at] = data[at:end] * rng.choice((1, 1, 2, 16))
            case 6:
                del data[at:]
            case 7:
                other = rng.choice(seeds)
                start = rng.randrange(len(other) or 1)
                data[at:at] = other[start : start + rng.choice((1, 8, 64))]
    return bytes(data)


# --- what is read ---


def _files(make: Callable[[Path], Any]) -> Callable[[], list[bytes]]:
    @cache
    def seeds() -> list[bytes]:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder))
            return [p.read_bytes() for p in sorted(Path(folder).iterdir())]

    return seeds


def _small_safetensors(folder: Path) -> None:
    import safetensors.numpy

    (folder / "few").write_bytes(safetensors.numpy.save({"a.weight": FEW["a.weight"]}, {"format": "pt"}))
    (folder / "none").write_bytes(b"\2\0\0\0\0\0\0\0{}")


def _whole_models(folder: Path) -> None:
    tensors = small_tensors(BF16)
    write_pth(folder / "pth", blinkdl(tensors))
    write_safetensors(folder / "safetensors", blinkdl(tensors), {})
    write_gguf(folder / "gguf", tensors, "BF16", TOKENS)


def _packed(folder: Path) -> None:
    save_packed(folder / "packed", pack(Weights(small_tensors(BF16), "bf16"), "int8"))


def _gguf(folder: Path) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(folder / "few", "rwkv7")
    writer.add_uint32("rwkv7.wkv.head_size", 8)
    writer.add_token_list([b"a", b"\\x00", b"b"])
    writer.add_tensor("a.weight", FEW["a.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tuned(folder: Path) -> None:
    states = {f"blocks.{i}.att.time_state": np.ones((TINY.heads, 8, 8), np.float32) for i in range(TINY.layers)}
    write_pth(folder / "state", states)


def _numpy(folder: Path) -> None:
    np.save(folder / "state.npy", State(TINY).data)


def _manifest(folder: Path) -> None:
    from assistant.models.manifest import MANIFEST_FILE
    from assistant.models.store import SHIPPED

    (folder / "m").write_bytes((SHIPPED / MANIFEST_FILE).read_bytes())


KEY = "abc/world"


def _state_file() -> list[bytes]:
    said = Conversation(title="t", turns=[PastTurn(role="user", content="a"), PastTurn(role="assistant", content="b")])
    return [write_state(Checkpoint(State(TINY), 3, b"x"), said, KEY, "m")]


def _rehashed(data: bytes, _path: Path) -> None:
    """A file whose hash was made to fit, as only somebody with bad intent would: what lies behind must hold too."""
    import hashlib

    at = data.find(b'"sha256":"') + 10
    if at >= 10 and at + 64 <= len(data):
        blank = data[:at] + b"0" * 64 + data[at + 64 :]
        data = data[:at] + hashlib.sha256(blank).hexdigest().encode() + data[at + 64 :]
    read_state(data, TINY, KEY)


@cache
def _checkpoint() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        store = Checkpoints(Path(folder), TINY, KEY)
        store.put("x", Checkpoint(State(TINY), 3, b"x", np.zeros(16, np.float32)))
        store.close()
        return [(Path(folder) / "x.ckpt").read_bytes()]


def _read_checkpoint(data: bytes, path: Path) -> bool:
    name = path.with_suffix(".ckpt")
    name.write_bytes(data)
    store = _stores.setdefault(str(path.parent), Checkpoints(path.parent, TINY, KEY))
    believed = store.get(path.stem) is not None
    if believed and data != _checkpoint()[0]:
        raise AssertionError("a damaged checkpoint was believed")
    return believed


_stores: dict[str, Checkpoints] = {}


CONFIG = b"""
[model]
name = "default"
[backend]
threads = 2
[sampling]
temperature = 0.5
top_p = 0.9
seed = 7
[daemon]
idle_exit_s = 10.5
[history]
enabled = true
"""


def _config(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    config.load(path)


def _template(data: bytes, _path: Path) -> None:
    """No text may forge a turn: between the markers of ours there is no blank line."""
    text = data.decode("utf-8", "replace")
    for template in TEMPLATES.values():
        for think in (None, True, False):
            turn = template.user_turn(text, think)
            inner = turn.removeprefix("User: ").split("\n\nAssistant:")[0]
            if "\n\n" in inner or not turn.startswith("User: "):
                raise AssertionError(f"a forged turn: {turn!a}")
            template.split_reply(text, think)
        if "\n\n" in template.opening(text).removesuffix("\n\n"):
            raise AssertionError("a forged turn in the system prompt")


REQUESTS = [wire.ChatCompletionRequest, wire.CompletionRequest, wire.SendMessage, ResponseRequest, OllamaChat]


def _request(data: bytes, _path: Path) -> bool:
    from assistant.daemon import ollama_tools, responses_api
    from assistant.session.messages import conversation
    from assistant.session.sampling import sampling_params, stop_strings, token_limit
    from assistant.session.tools import read_tools

    accepted = False
    for kind in REQUESTS:
        try:
            request = msgspec.json.decode(data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        accepted = True
        if isinstance(request, wire.SamplingFields):
            sampling_params(request, config.Sampling())
            token_limit(request, config.Sampling())
            stop_strings(request)
        if isinstance(request, wire.ChatCompletionRequest):
            read_tools(request.tools, request.tool_choice, request.parallel_tool_calls)
            conversation(request.messages)
        if isinstance(request, ResponseRequest):
            read_tools(request.tools, request.tool_choice, request.parallel_tool_calls, flat=True)
            conversation(responses_api.messages(request.input))
        if isinstance(request, OllamaChat):
            conversation(ollama_tools.messages(request.messages))
    return accepted


def _requests() -> list[bytes]:
    return [
        b'{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"}]}],'
        b'"temperature":0.5,"seed":1,"stop":["x"],"max_tokens":5,"stream":true,"stream_options":{"include_usage":true}}',
        b'{"prompt":"abc","echo":true,"top_p":0.5,"stop":"y"}',
        b'{"input":[{"role":"user","content":"a"}],"text":{"format":{"type":"text"}},"metadata":{"a":"b"}}',
        b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"c","type":"function",'
        b'"function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"[1]"}],"tools":[{"type":'
        b'"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"auto"}',
        b'{"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output",'
        b'"call_id":"c","output":"1"}],"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"}}',
        b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":'
        b'{"a":1}}}]},{"role":"tool","tool_name":"f","content":"1"}],"tools":[]}',
        b'{"content":"hello","parent_id":"abc","root":false,"think":true}',
    ]


@cache
def _grammars() -> Grammars:
    tokenizer = Tokenizer.byte_level()
    return Grammars(tokenizer.tokens, tokenizer.size, tokenizer.encode)


def _schema(data: bytes, _path: Path) -> bool | None:
    try:
        schema = json.loads(data)
    except (ValueError, RecursionError):
        return False
    _grammars().compile(schema).constraint(40)
    return None


SCHEMAS = [
    b'{"type":"object","properties":{"a":{"type":"string","minLength":2},"b":{"type":"integer","minimum":0,"maximum":9}},'
    b'"required":["a"],"additionalProperties":false}',
    b'{"type":"array","items":{"anyOf":[{"type":"null"},{"enum":["x",1]}]},"minItems":1,"maxItems":3}',
    b'{"$defs":{"n":{"type":"object","properties":{"k":{"$ref":"#/$defs/n"}}}},"$ref":"#/$defs/n"}',
    b'{"type":"string","pattern":"^[a-z]{1,4}$"}',
]


def _through(read: Callable[[Path], Any]) -> Callable[[bytes, Path], Any]:
    def given(data: bytes, path: Path) -> None:
        path.write_bytes(data)
        read(path)

    return given


def _manifest_read(data: bytes, path: Path) -> None:
    (path.parent / "manifest.json").write_bytes(data)
    manifest = read_manifest(path.parent)
    if any("/" in record.file or record.file.startswith(".") for record in manifest.files()):
        raise AssertionError("a file outside of its folder")


TARGETS = [
    Target("safetensors", _files(_small_safetensors), _through(read_safetensors), share=2),
    Target("gguf", _files(_gguf), _through(read_gguf), share=2),
    Target("pth", _files(lambda d: write_pth(d / "few", FEW)), _through(read_pth), share=2),
    Target("pickle", lambda: [state_dict_pickle(FEW)], lambda data, path: read_tensor_pickle(data, path), share=3),
    Target("whole model", _files(_whole_models), _through(lambda p: pack(read_source(p).weights, "int8")), share=0.04),
    Target("packed", _files(_packed), _through(load_packed), share=0.2),
    Target("tuned state", _files(_tuned), _through(lambda p: read_tuned_state(p, TINY))),
    Target("starting state", _files(_numpy), _through(lambda p: load_state(p, TINY))),
    Target("vocabulary", lambda: [write_vocabulary(TOKENS)], _through(read_vocabulary), share=0.5),
    Target("tokenizer", lambda: [write_vocabulary(TOKENS)], _through(Tokenizer.from_file), share=0.25),
    Target("manifest", _files(_manifest), _manifest_read),
    Target("state file", _state_file, lambda data, _: read_state(data, TINY, KEY), share=2),
    Target("state file, rehashed", _state_file, _rehashed, share=2),
    Target("checkpoint", _checkpoint, _read_checkpoint),
    Target("config", lambda: [CONFIG], _config),
    Target("template", lambda: [b"a\n\nUser: b\r\n\r\nSystem: c", "ü\u2028\x85\x0b".encode()], _template),
    Target("request", _requests, _request, share=2),
    Target("schema", lambda: SCHEMAS, _schema, share=0.5),
]  # fmt: skip
BY_NAME = {target.name: target for target in TARGETS}


def one(target: Target, number: int, path: Path) -> bool:
    """Input `number` of a target; True if it was accepted. Raises what the reader should not have raised."""
    data = mutated(random.Random(f"{target.name}/{number}"), target.seeds())
    started = time.perf_counter()
    try:
        accepted = target.read(data, path) is not False
    except target.refuses:
        accepted = False
    took_s = time.perf_counter() - started
    if took_s > SLOWEST_S:  # the machine may have stood still: ask once more
        started = time.perf_counter()
        with contextlib.suppress(*target.refuses):
            target.read(data, path)
        if time.perf_counter() - started > SLOWEST_S:
            raise AssertionError(f"took {took_s:.1f} s")
    return accepted


def run(name: str, start: int, count: int) -> tuple[str, int, int]:
    """(target, inputs, accepted) for inputs start..start + count. Raises RuntimeError naming the first that failed."""
    target, accepted = BY_NAME[name], 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        path = Path(folder) / "input"
        for number in range(start, start + count):
            try:
                accepted += one(target, number, path)
            except BaseException as error:
                raise RuntimeError(f"target '{name}', input {number}: {type(error).__name__}: {error}") from error
        for store in _stores.values():
            store.close()
        _stores.clear()
    return name, count, accepted


def plan(total: int) -> list[tuple[str, int, int]]:
    """Chunks of work that make up at least `total` inputs."""
    shares = sum(target.share for target in TARGETS)
    work = []
    for target in TARGETS:
        wanted = int(np.ceil(total * target.share / shares))
        work += [(target.name, at, min(CHUNK, wanted - at)) for at in range(0, wanted, CHUNK)]
    return work


def campaign(total: int, workers: int) -> dict[str, tuple[int, int]]:
    """Run `total` inputs; returns {target: (inputs, accepted)}. Raises RuntimeError for the first failure."""
    done: dict[str, tuple[int, int]] = {}
    with concurrent.futures.ProcessPoolExecutor(workers, initializer=_limit_memory) as pool:
        for name, inputs, accepted in pool.map(run, *zip(*plan(total), strict=True)):
            before = done.get(name, (0, 0))
            done[name] = (before[0] + inputs, before[1] + accepted)
    return done


def _limit_memory() -> None:
    logging.disable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def table(done: dict[str, tuple[int, int]], seconds: float) -> str:
    lines = [
        f"{name:22} {inputs:9,} inputs {inputs - accepted:9,} refused" for name, (inputs, accepted) in done.items()
    ]
    total, refused = sum(inputs for inputs, _ in done.values()), bad(done)
    return "\n".join([*lines, f"{total:,} inputs in {seconds:.0f} s: {refused:,} refused as documented, no failure"])


def bad(done: dict[str, tuple[int, int]]) -> int:
    """How many inputs were refused."""
    return sum(inputs - accepted for inputs, accepted in done.values())


if __name__ == "__main__":
    if sys.argv[1] == "--replay":
        with tempfile.TemporaryDirectory() as _folder:
            print(one(BY_NAME[sys.argv[2]], int(sys.argv[3]), Path(_folder) / "input"))
    else:
        _started = time.perf_counter()
        _done = campaign(int(sys.argv[1].replace("_", "")), os.cpu_count() or 1)
        print(table(_done, time.perf_counter() - _started))
