"""A pickle reader that knows tensors only: it can name a function, but has no means to call one.

Python's own unpickler imports and calls what the file names. This one is a stack machine for the few
opcodes that `torch.save` writes for a dictionary of tensors; every name that is not in `KNOWN` ends it.
Opcodes: the comments of CPython's `pickletools.py`. Tensor layout: `torch/_utils.py`, `_rebuild_tensor_v2`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from assistant.errors import ModelFileError
from assistant.models.mapped import DOWNLOAD_AGAIN
from assistant.models.torch_names import (
    DTYPES,
    KNOWN,
    ORDERED_DICT,
    PARAMETER,
    STORAGES,
    TENSOR_V2,
    TENSOR_V3,
    Name,
    StorageRef,
    TensorRef,
)

SAVE_AS_TENSORS = (
    "Do not open it with other tools. A trustworthy model is published as a plain dictionary of "
    "tensors, as .safetensors or as .gguf"
)
# How the oldest protocols write a global; used to word a refusal, never to decide one.
CALL_IN_TEXT = re.compile(rb"[\n(][ci]([A-Za-z_][\w.]*)\n([A-Za-z_][\w.]*)\n", re.ASCII)


def read_tensor_pickle(data: bytes, path: Path) -> Any:
    """The object that `data.pkl` describes: dicts, lists, tuples, scalars and TensorRefs.

    Raises ModelFileError naming the first global or opcode that a dictionary of tensors does not need.
    """
    return _Machine(data, path).run()


class _Machine:
    def __init__(self, data: bytes, path: Path):
        self.data, self.path, self.at = data, path, 0
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        try:
            while (opcode := self.take(1)) != b".":
                step = _STEPS.get(opcode)
                if step is None:
                    self.refuse_opcode(opcode)
                step(self)
            return self.stack.pop()
        except (IndexError, KeyError, ValueError, TypeError) as error:
            # A file that pops what it never pushed, or asks a list to be a key.
            self.damaged(f"the pickle makes no sense at byte {self.at} ({type(error).__name__})")

    # --- refusals ---

    def damaged(self, why: str) -> NoReturn:
        raise ModelFileError("damaged .pth file", where=self.path, why=why, hint=DOWNLOAD_AGAIN)

    def refuse_opcode(self, opcode: bytes) -> NoReturn:
        why = f"the pickle uses opcode {opcode!r} at byte {self.at - 1}, which tensors do not need"
        if call := CALL_IN_TEXT.search(self.data):
            why = f"reading it would run {call[1].decode()}.{call[2].decode()}; {why}"
        raise ModelFileError("not a file of tensors only, refused", where=self.path, why=why, hint=SAVE_AS_TENSORS)

    def push_name(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            self.damaged("a global has no name")
        if (found := Name(module, name)) not in KNOWN:
            if module == "torch" and name.endswith("Storage"):
                why = f"it holds {name!a}; weights are float32, float16 or bfloat16"
                raise ModelFileError("cannot read the .pth file", where=self.path, why=why)
            why = f"reading it would run {module}.{name}"
            raise ModelFileError(
                "the file wants to run code, refused",
                where=self.path,
                why=ascii(why)[1:-1],
                hint=SAVE_AS_TENSORS,
            )
        self.stack.append(found)

    # --- reading ---

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            self.damaged("the pickle ends in the middle")
        self.at += count
        return self.data[self.at - count : self.at]

    def unsigned(self, count: int) -> int:
        return int.from_bytes(self.take(count), "little")

    def line(self) -> str:
        end = self.data.index(b"\n", self.at)
        return self.take(end + 1 - self.at)[:-1].decode("utf-8")

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    # --- opcodes with more to do than push a value ---

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def set_items(self, pairs: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(pairs) % 2:
            self.damaged("items are added to something that is not a dictionary")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if type(key) not in (str, int):
                self.damaged(f"a dictionary has a key of type {type(key).__name__}")
            target[key] = value

    def append(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            self.damaged("items are added to something that is not a list")
        self.stack[-1].extend(items)

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def build(self) -> None:
        self.stack.pop()  # attributes of a state dict: version numbers of its modules
        if type(self.stack[-1]) is not dict:
            self.damaged("the file sets attributes of something that is not a dictionary")

    def persistent_id(self) -> None:
        tag, kind, key, _device, numel = self.stack.pop()
        # Names are checked to be names first: hashing a tuple nested a million deep would end Python.
        if tag != "storage" or type(kind) is not Name or type(key) is not str:
            self.damaged("an external reference is not a tensor storage")
        self.stack.append(StorageRef(STORAGES[kind], key, _size(numel)))

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(arguments) is not tuple or type(function) is not Name:
            self.damaged("the pickle calls something that is no function")
        if function == ORDERED_DICT and not arguments:
            self.stack.append({})
        elif function == PARAMETER and isinstance(arguments[0], TensorRef):
            self.stack.append(arguments[0])
        elif function in (TENSOR_V2, TENSOR_V3) and isinstance(arguments[0], StorageRef):
            storage, offset, shape, stride = arguments[:4]
            dtype = storage.dtype
            if function == TENSOR_V3 and type(arguments[6]) is Name:
                dtype = DTYPES[arguments[6]]
            if dtype is None or type(shape) is not tuple or type(stride) is not tuple:
                self.damaged("a tensor has no type or shape")
            shape, stride = tuple(map(_size, shape)), tuple(map(_size, stride))
            self.stack.append(TensorRef(storage, dtype, _size(offset), shape, stride))
        else:
            self.damaged(f"{function.name} has unexpected arguments")


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 48:
        raise ValueError("not a size")
    return value


def _signed(machine: _Machine) -> int:
    return int.from_bytes(machine.take(machine.unsigned(1)), "little", signed=True)


def _value(read: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    def step(m: _Machine) -> None:
        value = read(m)  # first: reading may replace the stack
        m.stack.append(value)

    return step


def _tuple(count: int) -> Callable[[_Machine], None]:
    def step(m: _Machine) -> None:
        items = tuple(m.stack[-count:])
        if len(items) != count:
            raise IndexError
        m.stack[-count:] = [items]

    return step


def _memoize(m: _Machine, index: int) -> None:
    m.memo[index] = m.stack[-1]


def _stack_global(m: _Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    m.push_name(module, name)


_STEPS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": lambda m: None if m.unsigned(1) <= 5 else m.damaged("unknown pickle protocol"),
    b"\x95": lambda m: m.unsigned(8) and None,  # FRAME: a hint for buffering only
    b"(": _Machine.mark,
    b"}": _value(lambda m: {}),
    b"]": _value(lambda m: []),
    b")": _value(lambda m: ()),
    b"N": _value(lambda m: None),
    b"\x88": _value(lambda m: True),
    b"\x89": _value(lambda m: False),
    b"K": _value(lambda m: m.unsigned(1)),
    b"M": _value(lambda m: m.unsigned(2)),
    b"J": _value(lambda m: struct.unpack("<i", m.take(4))[0]),
    b"\x8a": _value(_signed),
    b"G": _value(lambda m: struct.unpack(">d", m.take(8))[0]),
    b"X": _value(lambda m: m.take(m.unsigned(4)).decode("utf-8")),
    b"\x8c": _value(lambda m: m.take(m.unsigned(1)).decode("utf-8")),
    b"t": _value(lambda m: tuple(m.pop_mark())),
    b"\x85": _tuple(1),
    b"\x86": _tuple(2),
    b"\x87": _tuple(3),
    b"q": lambda m: _memoize(m, m.unsigned(1)),
    b"r": lambda m: _memoize(m, m.unsigned(4)),
    b"\x94": lambda m: _memoize(m, len(m.memo)),
    b"h": _value(lambda m: m.memo[m.unsigned(1)]),
    b"j": _value(lambda m: m.memo[m.unsigned(4)]),
    b"s": _Machine.set_item,
    b"u": lambda m: m.set_items(m.pop_mark()),
    b"a": lambda m: m.append([m.stack.pop()]),
    b"e": lambda m: m.append(m.pop_mark()),
    b"c": lambda m: m.push_name(m.line(), m.line()),
    b"\x93": _stack_global,
    b"Q": _Machine.persistent_id,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
}
