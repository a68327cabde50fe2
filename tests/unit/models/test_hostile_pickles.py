"""A .pth that tries to run code is refused by name and runs nothing; each attack works on pickle itself."""

import os
import pickle
import subprocess

import numpy as np
import pytest

from assistant.errors import ModelFileError
from assistant.models.pickled import read_tensor_pickle
from assistant.models.pth import read_pth
from assistant.models.source import read_source
from tests.unit.models.files import (
    blinkdl,
    dictionary,
    small_tensors,
    state_dict_pickle,
    tensor_pickle,
    text,
    write_pth,
)


class Reduces:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def reduces(protocol, function, *arguments):
    return lambda canary: pickle.dumps(
        {"emb.weight": Reduces(function, *(a.format(canary) if isinstance(a, str) else a for a in arguments))},
        protocol,
    )


def nested(canary):
    """eval of a text that only an inner call makes, deep in lists."""
    inner = Reduces(str.join, "", ["__import__('os').system('touch ", f"{canary}')"])
    return pickle.dumps({"a": [{"b": (1, [Reduces(eval, inner)])}]}, 4)


def getattr_chain(canary):
    # The function of a REDUCE has to come from the stack, so this one is put together by hand.
    return (
        b"\x80\x02cbuiltins\ngetattr\ncbuiltins\n__import__\n" + text("os") + b"\x85R" + text("system")
        + b"\x86R" + text(f"touch {canary}") + b"\x85R."
    )  # fmt: skip


ATTACKS = {
    **{f"os.system, protocol {p}": (reduces(p, os.system, "touch {}"), "system") for p in range(6)},
    "builtins.eval": (reduces(2, eval, "open('{}', 'w')"), "eval"),
    "builtins.exec": (reduces(4, exec, "open('{}', 'w')"), "exec"),
    "builtins.open": (reduces(2, open, "{}", "w"), "open"),
    "subprocess": (reduces(4, subprocess.call, ["touch"]), "subprocess.call"),
    "getattr chain": (getattr_chain, "builtins.getattr"),
    "nested calls": (nested, "builtins.eval"),
    "INST": (lambda c: b"(S'touch " + c.encode() + b"'\nios\nsystem\n.", "os.system"),
    "OBJ": (lambda c: b"(cos\nsystem\nS'touch " + c.encode() + b"'\no.", "os.system"),
    "NEWOBJ and BUILD": (
        lambda c: b"\x80\x02ctypes\nSimpleNamespace\n)\x81}" + text("__setstate__") + b"cos\nsystem\nsb"
        + text(f"touch {c}") + b"b.",
        "types.SimpleNamespace",
    ),
    "NEWOBJ_EX": (
        lambda c: b"\x80\x04csubprocess\nPopen\n(](" + text("touch") + text(c) + b"et}\x92.",
        "subprocess.Popen",
    ),
    "STACK_GLOBAL": (
        lambda c: b"\x80\x04" + text("os") + text("system") + b"\x93" + text(f"touch {c}") + b"\x85R.",
        "os.system",
    ),
    "memo": (
        lambda c: b"\x80\x02cos\nsystem\nq\x000h\x00" + text(f"touch {c}") + b"\x85R.",
        "os.system",
    ),
}  # fmt: skip
# Not calls by themselves, so their canary is not expected from pickle: the names are refused all the same.
SILENT = {"subprocess", "NEWOBJ_EX"}


@pytest.fixture(params=ATTACKS)
def attack(request, tmp_path):
    make, name = ATTACKS[request.param]
    canary = tmp_path / "canary"
    return make(str(canary)), name, canary


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a not in SILENT], indirect=True)
def test_the_attack_works_on_pickle(attack):
    data, _, canary = attack
    pickle.loads(data)
    assert canary.exists()


def test_refused_by_name_and_nothing_runs(attack, tmp_path):
    data, name, canary = attack
    with pytest.raises(ModelFileError) as refusal:
        read_source(write_pth(tmp_path / "m.pth", {}, pickled=data))
    assert "refused" in refusal.value.what
    assert "would run " in refusal.value.why
    assert name in refusal.value.why
    assert not canary.exists()


def test_hidden_among_real_tensors(tmp_path):
    tensors = blinkdl(small_tensors())
    canary = tmp_path / "canary"
    call = b"cposix\nsystem\n" + text(f"touch {canary}") + b"\x85R"
    body = state_dict_pickle(tensors)[2:-1]
    pickled = b"\x80\x02" + dictionary({"model": body, "z": call}) + b"."
    write_pth(tmp_path / "m.pth", tensors, pickled=pickled)
    with pytest.raises(ModelFileError, match=r"would run posix\.system"):
        read_source(tmp_path / "m.pth")
    assert not canary.exists()


def refused(data: bytes, tmp_path, match: str) -> None:
    with pytest.raises(ModelFileError, match=match):
        read_tensor_pickle(data, tmp_path / "m.pth")


def test_allowed_names_do_only_what_tensors_need(tmp_path):
    refused(b"\x80\x02ccollections\nOrderedDict\n(" + text("a") + b"tR.", tmp_path, "unexpected arguments")
    refused(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", tmp_path, "makes no sense")
    refused(b"\x80\x02ctorch._utils\n_rebuild_parameter\n" + text("a") + b"\x85R.", tmp_path, "unexpected")
    refused(b"\x80\x02ccollections\nOrderedDict\n)\x81.", tmp_path, "opcode b'.x81'")
    refused(b"\x80\x02ctorch\nDoubleStorage\n.", tmp_path, "holds 'DoubleStorage'; weights are")


@pytest.mark.parametrize("data", [b"", b"\x80", b"}", b"\x80\x02}(u", b"\x80\x02}q", b"\x80\x09.", b".", b"0."])
def test_incomplete_pickles(data, tmp_path):
    refused(data, tmp_path, "damaged .pth|opcode b'0'")


def test_deep_nesting_and_huge_declarations_do_not_crash(tmp_path):
    deep = b"\x80\x02)" + b"\x85" * 200_000
    refused(deep + b"R.", tmp_path, "makes no sense")
    refused(
        b"\x80\x02" + text("storage") + deep[2:] + text("0") + text("cpu") + b"K\x01t.",
        tmp_path,
        "makes no sense",
    )
    refused(
        b"\x80\x02(" + text("storage") + deep[2:] + text("0") + text("cpu") + b"K\x01tQ.",
        tmp_path,
        "not a tensor",
    )
    refused(b"\x80\x02}" + deep[2:] + b"Ns.", tmp_path, "key of type tuple")
    refused(b"\x80\x02X\xff\xff\xff\xff", tmp_path, "ends in the middle")


def one_tensor(tmp_path, *arguments, **keywords):
    data = np.arange(12, dtype=np.float32)
    pickled = b"\x80\x02" + dictionary({"t": tensor_pickle(*arguments, **keywords)}) + b"."
    return write_pth(tmp_path / "m.pth", {"t": data}, pickled=pickled)


def test_strided_views_are_read_as_torch_means_them(tmp_path):
    t = read_pth(one_tensor(tmp_path, "0", "FloatStorage", 12, [2, 3], [1, 4], offset=1))["t"]
    assert t.tolist() == [[1, 5, 9], [2, 6, 10]]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("0", "FloatStorage", 12, [4, 4], [4, 1]), "outside of its storage"),
        (("0", "FloatStorage", 12, [3, 4], [5, 1]), "outside of its storage"),
        (("0", "FloatStorage", 12, [3, 4], [4, 1], 1), "outside of its storage"),
        (("0", "FloatStorage", 12, [1 << 30, 1 << 30], [0, 0]), "than twice as large"),
        (("0", "FloatStorage", 12, [13], [0]), "repeats its storage"),
        (("0", "FloatStorage", 12, [-1], [1]), "makes no sense"),
        (("0", "FloatStorage", 12, [3, 4], [1]), "2 dimensions, 1 strides"),
        (("0", "FloatStorage", 12, [0], [1]), "empty or reaches"),
        (("0", "FloatStorage", 13, [3], [1]), "has 48 bytes, declared 52"),
        (("0", "HalfStorage", 12, [3], [1]), "has 48 bytes, declared 24"),
        (("7", "FloatStorage", 12, [3], [1]), "no entry"),
        (("../0", "FloatStorage", 12, [3], [1]), "no entry"),
    ],
)
def test_wrong_shapes_and_sizes(tmp_path, arguments, match):
    with pytest.raises(ModelFileError, match=match):
        read_pth(one_tensor(tmp_path, *arguments))


def test_things_that_are_not_a_state_dict(tmp_path):
    with pytest.raises(ModelFileError, match="it holds list"):
        read_pth(write_pth(tmp_path / "m.pth", {}, pickled=b"\x80\x02]."))
    nested_too_deep = b"\x80\x02" + dictionary({"a": dictionary({"b": b"}"})}) + b"."
    with pytest.raises(ModelFileError, match=r"no tensors in the .pth file.*'a'"):
        read_pth(write_pth(tmp_path / "m.pth", {}, pickled=nested_too_deep))
