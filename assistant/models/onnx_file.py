"""ONNX graphs: operators, shapes and names, without the weights' values and without executing anything.

Format: onnx.proto of github.com/onnx/onnx (protocol buffers, wire types 0, 1, 2 and 5). Only the fields that a census
needs are read; everything else is skipped by its declared length, and every length is checked against the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from assistant.errors import ModelFileError
from assistant.models.mapped import DOWNLOAD_AGAIN, element_count, map_file

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
# Field numbers of onnx.proto.
MODEL_GRAPH, GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE = 7, 1, 5, 11, 12, 13
NODE_INPUT, NODE_OUTPUT, NODE_TYPE, NODE_ATTRIBUTE = 1, 2, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_INT = 1, 3
TENSOR_DIMS, TENSOR_NAME, VALUE_NAME, VALUE_TYPE = 1, 8, 1, 2


class Node(NamedTuple):
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, int]  # those that are one integer


class OnnxGraph(NamedTuple):
    """initializers: name -> shape of a stored tensor. values: name -> shape of what flows, symbolic sizes as 1."""

    nodes: list[Node]
    initializers: dict[str, tuple[int, ...]]
    values: dict[str, tuple[int, ...]]


def looks_like_onnx(head: bytes) -> bool:
    """ModelProto begins with its ir_version, field 1 as a varint of one byte."""
    return len(head) > 2 and head[0] == 0x08 and 1 <= head[1] <= 64


def read_onnx(path: Path) -> OnnxGraph:
    """Raises ModelFileError."""
    file = _Message(Path(path), memoryview(map_file(path)))
    graphs = [body for field, kind, body in file.fields() if field == MODEL_GRAPH and kind == BYTES]
    if len(graphs) != 1:
        why = f"it holds {len(graphs)} graphs, expected one"
        raise ModelFileError("not an ONNX model", where=path, why=why, hint=DOWNLOAD_AGAIN)
    nodes, initializers, values = [], {}, {}
    for field, kind, body in file.inner(graphs[0]).fields():
        if kind != BYTES:
            continue
        if field == GRAPH_NODE:
            nodes.append(_node(file.inner(body)))
        elif field == GRAPH_INITIALIZER:
            name, dims = _tensor(file.inner(body))
            initializers[name] = dims
        elif field in (GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE):
            name, shape = _value(file.inner(body))
            if shape is not None:
                values[name] = shape
    for name, dims in initializers.items():
        element_count(dims, name, Path(path))
    return OnnxGraph(nodes, initializers, values)


class _Message:
    """One protocol buffer message: a run of (field number, wire type, value)."""

    def __init__(self, path: Path, data: memoryview):
        self.path, self.data, self.at = path, data, 0

    def inner(self, data: memoryview) -> _Message:
        return _Message(self.path, data)

    def damaged(self, why: str) -> NoReturn:
        raise ModelFileError("damaged ONNX file", where=self.path, why=why, hint=DOWNLOAD_AGAIN)

    def varint(self) -> int:
        value = shift = 0
        while True:
            if self.at >= len(self.data) or shift > 63:
                self.damaged("a number in it does not end")
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
            shift += 7

    def fields(self) -> Iterator[tuple[int, int, Any]]:
        while self.at < len(self.data):
            key = self.varint()
            kind = key & 7
            if kind == VARINT:
                yield key >> 3, kind, self.varint()
                continue
            size = {FIXED64: 8, FIXED32: 4}.get(kind)
            if kind == BYTES:
                size = self.varint()
            if size is None:
                self.damaged(f"it uses the wire type {kind}")
            if size > len(self.data) - self.at:
                self.damaged(f"a field of {size} bytes reaches past its end")
            self.at += size
            yield key >> 3, kind, self.data[self.at - size : self.at]


def _text(body: Any) -> str:
    return bytes(body).decode("utf-8", "backslashreplace") if isinstance(body, memoryview) else ""


def _node(message: _Message) -> Node:
    op, inputs, outputs, attributes = "", [], [], {}
    for field, _, body in message.fields():
        if field == NODE_TYPE:
            op = _text(body)
        elif field == NODE_INPUT:
            inputs.append(_text(body))
        elif field == NODE_OUTPUT:
            outputs.append(_text(body))
        elif field == NODE_ATTRIBUTE and isinstance(body, memoryview):
            parts = {f: b for f, _, b in message.inner(body).fields()}
            if isinstance(parts.get(ATTRIBUTE_INT), int):
                attributes[_text(parts.get(ATTRIBUTE_NAME))] = parts[ATTRIBUTE_INT]
    return Node(op, tuple(inputs), tuple(outputs), attributes)


def _tensor(message: _Message) -> tuple[str, tuple[int, ...]]:
    name, dims = "", []
    for field, kind, body in message.fields():
        if field == TENSOR_NAME:
            name = _text(body)
        elif field == TENSOR_DIMS:
            if kind == VARINT:
                dims.append(body)
            elif kind == BYTES:  # packed
                packed = message.inner(body)
                while packed.at < len(packed.data):
                    dims.append(packed.varint())
    return name, tuple(dims)


def _value(message: _Message) -> tuple[str, tuple[int, ...] | None]:
    """ValueInfoProto: name, and type.tensor_type.shape.dim[].dim_value."""
    name, shape = "", None
    for field, kind, body in message.fields():
        if field == VALUE_NAME:
            name = _text(body)
        elif field == VALUE_TYPE and kind == BYTES:
            for _, tensor in _only(message.inner(body), 1):  # tensor_type
                for _, dims in _only(message.inner(tensor), 2):  # shape
                    shape = tuple(_dim(message.inner(d)) for _, d in _only(message.inner(dims), 1))
    return name, shape


def _dim(message: _Message) -> int:
    sizes = [body for field, kind, body in message.fields() if field == 1 and kind == VARINT]
    return sizes[0] if sizes and 0 < sizes[0] < 1 << 40 else 1


def _only(message: _Message, wanted: int) -> Iterator[tuple[int, memoryview]]:
    return ((field, body) for field, kind, body in message.fields() if field == wanted and kind == BYTES)
