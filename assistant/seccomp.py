"""Takes the network away from this process for good: a seccomp filter after which no socket but AF_UNIX can be made.

The filter is for this process, all its threads and all its children, and cannot be taken off again. What is open
already stays: a listening TCP socket still accepts. Standard library only, so that it can come before everything else.

Sources: seccomp(2), prctl(2), bpf_common.h and linux/audit.h; system call numbers from asm/unistd_64.h (x86-64) and
asm-generic/unistd.h (aarch64).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import AssistantError

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = (
    0x20,
    0x15,
    0x35,
    0x06,
)  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JGE|K, BPF_RET|K
NR_AT, ARCH_AT, FIRST_ARGUMENT_AT = 0, 4, 16  # offsets in struct seccomp_data; both machines are little-endian
X32_BIT = 0x40000000  # x32's calls are x86-64's numbers with this bit; the architecture field does not tell them apart
PR_SET_NO_NEW_PRIVS, SET_MODE_FILTER, FLAG_TSYNC = 38, 1, 1

_installed = False
Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


@dataclass(frozen=True, slots=True)
class Machine:
    """Numbers of one architecture. `denied`: other ways to a socket, which no part of ours ever needs."""

    audit_arch: int
    seccomp: int
    families: tuple[int, ...]  # socket, socketpair: their first argument is an address family
    denied: tuple[int, ...]  # io_uring_setup, io_uring_enter, io_uring_register, pidfd_getfd, ptrace
    x32: bool = False


MACHINES = {
    "x86_64": Machine(0xC000003E, 317, (41, 53), (425, 426, 427, 438, 101), x32=True),
    "aarch64": Machine(0xC00000B7, 277, (198, 199), (425, 426, 427, 438, 117)),
}


class FilterUnavailable(AssistantError):
    """This kernel or machine cannot take the filter."""


def program(machine: Machine) -> list[Instruction]:
    """The filter. Calls of the kernel's other ABIs (i386 with its socketcall, x32, 32-bit ARM) do not exist in it."""
    no_family, no_call = ERRNO | errno.EAFNOSUPPORT, ERRNO | errno.ENOSYS
    code: list[Instruction] = [
        (LOAD, 0, 0, ARCH_AT),
        (JUMP_EQUAL, 1, 0, machine.audit_arch),
        (RETURN, 0, 0, no_call),
        (LOAD, 0, 0, NR_AT),
    ]
    if machine.x32:
        code += [(JUMP_AT_LEAST, 0, 1, X32_BIT), (RETURN, 0, 0, no_call)]
    for number in machine.denied:
        code += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | errno.EPERM)]
    for number in machine.families:
        code += [
            (JUMP_EQUAL, 0, 4, number),
            (LOAD, 0, 0, FIRST_ARGUMENT_AT),  # an int: the kernel ignores the upper half as well
            (JUMP_EQUAL, 1, 0, int(socket.AF_UNIX)),
            (RETURN, 0, 0, no_family),
            (RETURN, 0, 0, ALLOW),
        ]
    return [*code, (RETURN, 0, 0, ALLOW)]


def deny_network() -> None:
    """Install the filter on all threads, once. Raises FilterUnavailable with the reason."""
    global _installed
    if _installed:
        return
    machine = MACHINES.get(platform.machine())
    if machine is None or struct.calcsize("P") != 8:
        raise FilterUnavailable("the network cannot be denied in this process",
                                why=f"no filter is written for {platform.machine()}")  # fmt: skip
    libc = ctypes.CDLL(None, use_errno=True)
    code = program(machine)
    packed = b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    fprog = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(buffer)))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(n) for n in (1, 0, 0, 0))):
        raise _refused("no_new_privs")
    done = libc.syscall(ctypes.c_long(machine.seccomp), ctypes.c_ulong(SET_MODE_FILTER), ctypes.c_ulong(FLAG_TSYNC),
                        ctypes.byref(fprog))  # fmt: skip
    if done != 0:  # a positive number is a thread that could not follow
        raise _refused(f"thread {done} has a filter of its own" if done > 0 else "seccomp")
    _installed = True


def network_denied() -> bool:
    """Whether a socket of the network is refused to this very thread now. Tried, not remembered."""
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
        try:
            socket.socket(family, socket.SOCK_DGRAM if family != socket.AF_NETLINK else socket.SOCK_RAW).close()
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EPERM, errno.EACCES):
                return False
        else:
            return False
    return True


def kernel_fields(pid: int | str = "self") -> dict[str, int]:
    """`Seccomp` (2: filtered), `Seccomp_filters` and `NoNewPrivs` of a process, as the kernel tells them."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return {name: int(fields[name]) for name in ("Seccomp", "Seccomp_filters", "NoNewPrivs") if name in fields}


def _refused(step: str) -> FilterUnavailable:
    number = ctypes.get_errno()
    return FilterUnavailable("the network cannot be denied in this process", where=step,
                             why=os.strerror(number) if number else None)  # fmt: skip
