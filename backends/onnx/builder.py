"""Collects the nodes and tensors of one ONNX graph; values are known by their names, as in ONNX itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OPSET, CONTRIB_OPSET, IR_VERSION = 21, 1, 10
"""What ONNX Runtime accepts since 1.20; nothing newer is needed."""

CONTRIB = "com.microsoft"
ALIGNMENT = 4096  # of a tensor in the data file, so that the runtime can map it


class GraphBuilder:
    """Grows a graph node by node. `prefix` keeps the names in a Scan's body apart from those around it."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[NodeProto] = []
        self.constants: dict[bytes, TensorProto] = {}
        self._names = 0

    def fresh(self) -> str:
        self._names += 1
        return f"{self.prefix}t{self._names}"

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes) -> str:
        """Add a node with one output and return the output's name."""
        return self.ops(kind, *inputs, domain=domain, outs=[self.fresh()], **attributes)[0]

    def ops(self, kind: str, *inputs: str, outs: list[str], domain: str = "", **attributes) -> list[str]:
        """Add a node with the outputs `outs`; "" leaves one out."""
        self.nodes.append(helper.make_node(kind, list(inputs), outs, domain=domain, **attributes))
        return outs

    def constant(self, value, dtype=np.float32) -> str:
        """A small tensor that lives in the graph itself; equal ones are stored once."""
        tensor = numpy_helper.from_array(np.asarray(value, dtype))
        key = tensor.SerializeToString()
        if key not in self.constants:
            tensor.name = f"{self.prefix}c{len(self.constants)}"
            self.constants[key] = tensor
        return self.constants[key].name

    def reshape(self, x: str, *shape: int) -> str:
        """0 keeps an axis, -1 is what remains. Costs nothing at run time."""
        return self.op("Reshape", x, self.constant(shape, np.int64))

    def body(self, name: str, inputs: Iterable[ValueInfoProto], outputs: Iterable[ValueInfoProto]) -> GraphProto:
        """The nodes so far as a graph, for an operator that runs one."""
        return helper.make_graph(self.nodes, name, [*inputs], [*outputs], [*self.constants.values()])


def make_model(
    graph: GraphProto, external: Mapping[str, np.ndarray], data_file: str, metadata: Mapping[str, str]
) -> ModelProto:
    """A model whose `external` tensors lie one after the other in `data_file`, as `write_tensors` writes them."""
    offset = 0
    for name, array in external.items():
        tensor = graph.initializer.add(
            name=name, dims=array.shape, data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
            data_location=TensorProto.EXTERNAL,
        )  # fmt: skip
        for key, number in (("location", data_file), ("offset", offset), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(number))
        offset += _aligned(array.nbytes)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, CONTRIB_OPSET)]
    model = helper.make_model(graph, ir_version=IR_VERSION, producer_name="rwkv-assistant", opset_imports=opsets)
    helper.set_model_props(model, dict(metadata))
    return model


def write_tensors(path: Path, external: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        for array in external.values():
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            file.write(bytes(_aligned(array.nbytes) - array.nbytes))


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def value(name: str, shape: Iterable[int | str], dtype: int = TensorProto.FLOAT) -> ValueInfoProto:
    """An input or output; a text in `shape` names an axis of any length."""
    return helper.make_tensor_value_info(name, dtype, [*shape])
