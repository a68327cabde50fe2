"""Is a model file a good fit for compute-in-memory? Its operations by class, and a verdict with reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assistant.models.onnx_file import OnnxGraph
from assistant.models.shapes_only import DecoderShape, inspect
from backends.base import ModelConfig
from backends.cim import mythic
from backends.cim.graph import graph_operations
from backends.cim.operations import Operations, rwkv7_operations, transformer_operations
from backends.cim.shapes import Transformer, known
from backends.profiles import profile

CONTEXTS = (128, 1024, 8192, 32768)
FRIENDLY_SHARE, BEARABLE_SHARE = 0.05, 0.30  # of MACs that no array can hold; our own lines, no standard
ASSUMED_HEAD_SIZE = 64

Verdict = Literal["good fit", "good fit for short texts", "poor fit"]


@dataclass(frozen=True, slots=True)
class Report:
    """`at`: context in tokens -> operations of one decode step; a single entry 0 if the context does not matter."""

    name: str
    kind: str
    at: dict[int, Operations]
    chips: int  # M1076 whose cells the stationary weights would fill
    verdict: Verdict
    reasons: tuple[str, ...]


def of_file(path: Path) -> Report:
    """Raises ModelFileError."""
    found = inspect(path)
    if isinstance(found.network, OnnxGraph):
        return _of_graph(path.name, found.network)
    if isinstance(found.network, DecoderShape):
        return of_network(path.name, *_transformer(found.network))
    return of_network(path.name, found.network)


def of_known(name: str) -> Report:
    """A published model by name, from its shape. Raises UnknownModel."""
    return of_network(name, known(name))


def of_network(name: str, network: ModelConfig | Transformer, *notes: str) -> Report:
    if isinstance(network, ModelConfig):
        ops = rwkv7_operations(network)
        reasons = (
            f"{ops.dynamic_share:.1%} of the MACs are dynamic, at any length of the text",
            f"what it remembers is a state of {_bytes(ops.memory_bytes)}, read and written once per token",
            f"beside the arrays: {ops.transcendental_ops:,} exp, sigmoid, tanh and roots per token; no softmax",
        )
        # A share that never grows may be larger: it is paid once, not again with every token of the text.
        fits: Verdict = "good fit" if ops.dynamic_share <= BEARABLE_SHARE else "poor fit"
        return Report(name, _rwkv_kind(network), {0: ops}, _chips(ops), fits, reasons + notes)
    at = {t: transformer_operations(network, t) for t in CONTEXTS}
    limit = _limit(network)
    reasons = (
        f"dynamic MACs grow with the text: {at[1024].dynamic_share:.0%} at 1,024 tokens, "
        f"{at[8192].dynamic_share:.0%} at 8,192; {FRIENDLY_SHARE:.0%} at {limit:,}",
        f"its KV cache grows by {_bytes(at[1024].memory_bytes / 1024)} per token and is read again for each: "
        f"{_bytes(at[8192].memory_bytes)} at 8,192 (fp16)",
        "attention writes keys and values at every token, and programming an array takes far longer than reading it",
    )
    verdict: Verdict = "good fit for short texts" if at[1024].dynamic_share <= BEARABLE_SHARE else "poor fit"
    return Report(name, _decoder_kind(network), at, _chips(at[1024]), verdict, reasons + notes)


def _limit(network: Transformer) -> int:
    """Tokens at which the dynamic share reaches FRIENDLY_SHARE; dynamic MACs are linear in the context."""
    ops = transformer_operations(network, 1)
    return int(ops.stationary_macs * FRIENDLY_SHARE / (1 - FRIENDLY_SHARE) / ops.dynamic_macs)


def _of_graph(name: str, graph: OnnxGraph) -> Report:
    found = graph_operations(graph.nodes, graph.initializers, graph.values)
    ops = found.operations
    reasons = [f"{ops.dynamic_share:.1%} of the MACs that the file gives sizes for are dynamic"]
    if found.softmaxes:
        reasons.append(f"{found.softmaxes} softmax operators: an attention's dynamic products grow with the text")
    if found.unsized:
        reasons.append(f"{found.unsized} products of two changing things have no sizes in the file: not counted")
    if found.unseen:
        reasons.append(f"{found.unseen} operators hold graphs of their own (loops, branches): not looked into")
    reasons.append("symbolic sizes count as 1: one run for one token")
    fits = ops.dynamic_share <= FRIENDLY_SHARE and not found.softmaxes
    verdict: Verdict = "good fit" if fits else (
        "good fit for short texts" if ops.dynamic_share <= BEARABLE_SHARE else "poor fit")  # fmt: skip
    return Report(name, f"ONNX graph of {len(graph.nodes):,} operators", {0: ops}, _chips(ops), verdict, tuple(reasons))


def _transformer(shape: DecoderShape) -> tuple[Transformer, *tuple[str, ...]]:
    """The shape and what had to be assumed about it. Both widths are kept exactly, whatever the heads."""
    head_size, notes = shape.query_width // (shape.heads or 1), ()
    if not shape.heads or shape.query_width % shape.heads or shape.kv_width % head_size:
        head_size = math.gcd(ASSUMED_HEAD_SIZE, shape.query_width, shape.kv_width)
        notes = (f"the file does not tell its heads: heads of {head_size} assumed (only the softmax depends on it)",)
    heads, kv = shape.query_width // head_size, shape.kv_width // head_size
    return Transformer("file", shape.layers, shape.width, heads, kv, head_size, shape.ffn, shape.vocab), *notes


def _chips(ops: Operations) -> int:
    return math.ceil(ops.stationary_macs / mythic.grid(profile("mythic-m1076")).weights)


def _rwkv_kind(c: ModelConfig) -> str:
    return f"RWKV-7, {c.layers} layers x {c.width}"


def _decoder_kind(t: Transformer) -> str:
    return f"Llama-style transformer, {t.layers} layers x {t.width}"


def _bytes(count: float) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
