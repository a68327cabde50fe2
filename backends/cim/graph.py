"""The operations of an arbitrary graph by class: a node is stationary if one side of its product never changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from backends.cim.operations import Operations

# ONNX operators and those that ONNX Runtime adds (com.microsoft).
PRODUCTS = {
    "MatMul", "Gemm", "MatMulInteger", "QLinearMatMul", "MatMulNBits", "FusedMatMul", "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat", "Conv", "ConvInteger", "QLinearConv", "Einsum",
}  # fmt: skip
ATTENTION = {"Attention", "MultiHeadAttention", "GroupQueryAttention"}
REDUCTIONS = {
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2", "ReduceSumSquare", "Softmax",
    "LogSoftmax", "LayerNormalization", "SkipLayerNormalization", "SimplifiedLayerNormalization",
    "SkipSimplifiedLayerNormalization", "LpNormalization", "RMSNormalization", "GroupNormalization",
    "InstanceNormalization", "BatchNormalization", "ArgMax", "CumSum", "GlobalAveragePool", "AveragePool", "MaxPool",
}  # fmt: skip
TRANSCENDENTAL = {
    "Exp", "Log", "Sigmoid", "Tanh", "Sqrt", "Reciprocal", "Softplus", "Gelu", "FastGelu", "QuickGelu", "Erf", "Sin",
    "Cos", "Silu", "Swish", "HardSwish", "Elu", "Selu", "Mish", "Pow", "Softmax", "LogSoftmax",
}  # fmt: skip
ELEMENTWISE = {
    "Add", "Sub", "Mul", "Div", "Relu", "LeakyRelu", "PRelu", "Max", "Min", "Neg", "Abs", "Where", "Clip", "Greater",
    "Less", "Equal", "Square", "RotaryEmbedding", "Sum",
}  # fmt: skip
PASS_THROUGH = {
    "Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "DequantizeLinear", "QuantizeLinear",
    "Flatten", "DynamicQuantizeLinear",
}  # fmt: skip
BRANCHES = {"If", "Loop", "Scan"}


class Node(Protocol):
    """One operator: ONNX's name of it, the names of what goes in and comes out, attributes that are one integer."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class GraphCensus:
    """`unsized`: products of two changing things whose sizes the file does not tell (counted as none);
    `unseen`: operators with graphs of their own, which are not looked into; `softmaxes`: how many there are."""

    operations: Operations
    unsized: int
    unseen: int
    softmaxes: int


def graph_operations(nodes: Iterable[Node], constants: Mapping[str, tuple[int, ...]],
                     values: Mapping[str, tuple[int, ...]]) -> GraphCensus:  # fmt: skip
    """One run of the graph. Sizes that the file does not state follow from the inputs of each node."""
    fixed = {name: tuple(shape) for name, shape in constants.items()}
    flow = {name: tuple(shape) for name, shape in values.items() if name not in fixed}
    count = dict.fromkeys(
        ("stationary_macs", "dynamic_macs", "elementwise_ops", "reduction_ops", "transcendental_ops"), 0
    )
    unsized = unseen = softmaxes = 0
    for node in nodes:
        inputs = [name for name in node.inputs if name]
        moving = [name for name in inputs if name not in fixed]
        size = max((math.prod(flow[n]) for n in moving if n in flow), default=1)
        if inputs and not moving and node.op in PASS_THROUGH:
            fixed |= dict.fromkeys(node.outputs, fixed[inputs[0]])
            continue
        if node.op == "Constant":
            fixed |= dict.fromkeys(node.outputs, (1,))
            continue
        shape: tuple[int, ...] | None = next(
            (flow[n] for n in moving if n in flow and math.prod(flow[n]) == size), None
        )
        if node.op in PRODUCTS:
            weights = max((fixed[n] for n in inputs if n in fixed and len(fixed[n]) >= 2), key=math.prod, default=None)
            if weights is not None:
                macs, shape = _stationary(node, weights, flow.get(moving[0]) if moving else None, flow)
                count["stationary_macs"] += macs
            else:
                macs, shape = _dynamic(moving, node, flow)
                unsized += macs is None
                count["dynamic_macs"] += macs or 0
        elif node.op in ATTENTION:
            unsized += 1
        elif node.op in BRANCHES:
            unseen += 1
        softmaxes += node.op in ("Softmax", "LogSoftmax") or node.op in ATTENTION
        count["reduction_ops"] += size * (node.op in REDUCTIONS)
        count["transcendental_ops"] += size * (node.op in TRANSCENDENTAL)
        count["elementwise_ops"] += size * (node.op in ELEMENTWISE)
        for name in node.outputs:
            flow.setdefault(name, shape or (size,))
    return GraphCensus(Operations(**count, memory_bytes=0), unsized, unseen, softmaxes)


def _stationary(node: Node, weights: tuple[int, ...], moving: tuple[int, ...] | None, flow: Mapping
                ) -> tuple[int, tuple[int, ...]]:  # fmt: skip
    """MACs and shape of the result. A convolution's weights are used once per place of its output."""
    out = flow.get(node.outputs[0]) if node.outputs else None
    if "Conv" in node.op:
        places = math.prod(out[2:]) if out else 1
        return math.prod(weights) * places, out or (1, weights[0], 1)
    inputs, outputs = weights[-2], weights[-1]
    if node.op == "MatMulNBits":
        inputs, outputs = node.attributes.get("K", weights[-2]), node.attributes.get("N", weights[-1])
    elif node.op == "Gemm" and node.attributes.get("transB"):
        inputs, outputs = outputs, inputs
    rows = max(1, math.prod(moving) // inputs) if moving else 1
    return rows * inputs * outputs, (rows, outputs)


def _dynamic(
    moving: list[str], node: Node, flow: Mapping[str, tuple[int, ...]]
) -> tuple[int | None, tuple[int, ...] | None]:
    """MACs and shape of a product of two changing things; (None, None) if the file does not tell their sizes."""
    if len(moving) < 2 or any(n not in flow or len(flow[n]) < 2 for n in moving[:2]) or "Conv" in node.op:
        return None, None
    a, b = flow[moving[0]], flow[moving[1]]
    return math.prod(a) * b[-1], (*a[:-1], b[-1])
