"""The filter that takes the network away: each way to a socket, from Python and from native code, on every thread."""

from __future__ import annotations

import errno
import json
import platform
import shutil
import socket
import struct
import subprocess
import sys

import pytest

from assistant import seccomp, silence

PRELUDE = "import ctypes, errno, json, os, socket, threading\nfrom assistant import seccomp\n"


def run(code: str) -> subprocess.CompletedProcess:
    """In a process of its own: the filter can never be taken off again."""
    command = [sys.executable, "-P", "-c", PRELUDE + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def outcome(code: str):
    done = run(code)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_only_unix_sockets_are_left_on_all_threads():
    found = outcome("""
def attempt(family, kind=socket.SOCK_DGRAM):
    try:
        socket.socket(family, kind).close()
    except OSError as error:
        return error.errno
    return 0
families = dict(inet=2, inet6=10, netlink=16, packet=17, vsock=40, alg=38)
go, done, late = threading.Event(), threading.Event(), {}
def older_thread():
    go.wait()
    late.update({name: attempt(family) for name, family in families.items()})
    done.set()
threading.Thread(target=older_thread).start()
seccomp.deny_network()
seccomp.deny_network()  # twice is once
go.set(); done.wait()
socket.socketpair()[0].close()
print(json.dumps([late, {n: attempt(f) for n, f in families.items()}, attempt(socket.AF_UNIX), seccomp.kernel_fields(),
                  seccomp.network_denied()]))
""")
    refused = dict.fromkeys(("inet", "inet6", "netlink", "packet", "vsock", "alg"), errno.EAFNOSUPPORT)
    late, now, unix, fields, denied = found
    assert late == now == refused
    assert unix == 0
    assert (fields["Seccomp"], fields["NoNewPrivs"], fields.get("Seccomp_filters", 1)) == (2, 1, 1)
    assert denied is True
    assert not seccomp.network_denied(), "this process was meant to stay open"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86-64")
def test_no_way_around_by_bare_system_calls():
    found = outcome("""
seccomp.deny_network()
libc = ctypes.CDLL(None, use_errno=True)
def call(*numbers):
    result = libc.syscall(*[ctypes.c_long(n) for n in numbers])
    return ctypes.get_errno() if result < 0 else 0
high = (7 << 32) | 2  # the kernel looks at the lower half of the family only
print(json.dumps(dict(
    socket=call(41, 2, 1, 0), upper_half=call(41, high, 1, 0), upper_unix=call(41, (7 << 32) | 1, 1, 0),
    pair=call(53, 2, 1, 0, 0), x32=call(0x40000000 | 41, 2, 1, 0), io_uring=call(425, 1, 0), enter=call(426, 0),
    register=call(427, 0), stolen=call(438, 0, 0, 0), traced=call(101, 0, 0, 0, 0))))
""")
    assert found == {
        "socket": errno.EAFNOSUPPORT, "upper_half": errno.EAFNOSUPPORT, "upper_unix": 0, "pair": errno.EAFNOSUPPORT,
        "x32": errno.ENOSYS, "io_uring": errno.EPERM, "enter": errno.EPERM, "register": errno.EPERM,
        "stolen": errno.EPERM, "traced": errno.EPERM,
    }  # fmt: skip


@pytest.mark.skipif(platform.machine() != "x86_64" or not shutil.which("gcc"), reason="needs gcc on x86-64")
def test_no_way_around_by_the_32_bit_abi(tmp_path):
    """int 0x80 reaches the kernel's i386 table, where `socketcall` hides its family behind a pointer."""
    source, library = tmp_path / "i386.c", tmp_path / "i386.so"
    source.write_text(
        "long call32(long n, long a, long b, long c) { long r;"
        ' __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c)'
        ' : "memory", "r8", "r9", "r10", "r11");'
        " return r; }\n"
    )
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    code = f"""
lib = ctypes.CDLL({str(library)!r}); lib.call32.restype = ctypes.c_long
call = lambda *n: lib.call32(*[ctypes.c_long(x) for x in n])
before = call(359, 2, 1, 0)
seccomp.deny_network()
print(json.dumps([before, call(359, 2, 1, 0), call(102, 1, 0, 0)]))
"""
    before, socket32, socketcall = outcome(code)
    if before < 0:
        pytest.skip("this kernel runs no 32-bit calls")
    assert (socket32, socketcall) == (-errno.ENOSYS, -errno.ENOSYS)


def test_children_inherit_it_and_what_is_open_stays():
    found = outcome("""
import subprocess, sys
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
seccomp.deny_network()
accepted, _ = listener.accept()
client.sendall(b"hello")
probe = "import socket\\ntry: socket.socket()\\nexcept OSError as e: print(e.errno)"
child = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True).stdout.strip()
print(json.dumps([accepted.recv(5).decode(), int(child)]))
""")
    assert found == ["hello", errno.EAFNOSUPPORT]


@pytest.mark.parametrize("name", seccomp.MACHINES)
def test_the_program_of_every_architecture_by_an_interpreter_of_its_own(name):
    """Runs the BPF on made-up system calls, so that one architecture checks the other's."""
    machine = seccomp.MACHINES[name]
    code, (socket_nr, pair_nr) = seccomp.program(machine), machine.families

    def verdict(number: int, arch: int = machine.audit_arch, argument: int = 0) -> int:
        data = struct.pack("<IIQ6Q", number, arch, 0, argument, 0, 0, 0, 0, 0)
        at, accumulator = 0, 0
        while True:
            operation, if_true, if_false, constant = code[at]
            if operation == seccomp.LOAD:
                (accumulator,) = struct.unpack_from("<I", data, constant)
                at += 1
            elif operation == seccomp.RETURN:
                return constant
            else:
                taken = accumulator == constant if operation == seccomp.JUMP_EQUAL else accumulator >= constant
                at += 1 + (if_true if taken else if_false)

    refused = seccomp.ERRNO | errno.EAFNOSUPPORT
    for number in (socket_nr, pair_nr):
        assert verdict(number, argument=socket.AF_UNIX) == seccomp.ALLOW
        assert {verdict(number, argument=family) for family in (0, *range(2, 46))} == {refused}
    assert {verdict(number) for number in machine.denied} == {seccomp.ERRNO | errno.EPERM}
    assert verdict(socket_nr, arch=0x40000003, argument=1) == seccomp.ERRNO | errno.ENOSYS
    others = set(range(450)) - {*machine.families, *machine.denied}
    assert {verdict(number) for number in others} == {seccomp.ALLOW}
    if machine.x32:
        assert verdict(0x40000000 | socket_nr, argument=1) == seccomp.ERRNO | errno.ENOSYS


def test_an_unknown_machine_is_told(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    with pytest.raises(seccomp.FilterUnavailable, match="vax"):
        seccomp.deny_network()


def test_the_filter_is_never_left_out_where_there_is_a_network(monkeypatch):
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (2, "eth0")])
    with pytest.raises(silence.UsageError, match="eth0"):
        silence.fall_silent(unfiltered=True)
