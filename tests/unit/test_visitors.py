"""Who may enter by the unix socket: ourselves, root, and the socket's group where its mode says so."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from assistant.daemon.visitors import Visitor, may_enter, visitor, visitor_of

GROUP = 54321
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
CONNECT = """
import os, socket, sys
os.chdir(sys.argv[1])
os.setgroups([int(g) for g in sys.argv[3:]]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX); s.connect("s"); s.recv(1)
"""


@pytest.fixture
def listener():
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(folder / "s"))
    made.listen()
    made.settimeout(10)
    yield made, folder
    made.close()
    shutil.rmtree(folder)


def test_we_are_let_in_and_known_by_our_process(listener):
    made, folder = listener
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "s"))
        with made.accept()[0] as peer:
            who = visitor(peer)
            assert who == Visitor("unix", os.getuid(), os.getpid())
            assert may_enter(peer, who)
            assert who.key == f"unix:{os.getpid()}"


@needs_root
@pytest.mark.parametrize(
    ("mode", "groups", "enters"),
    [(0o777, [], False), (0o666, [GROUP + 1], False), (0o660, [GROUP], True), (0o666, [GROUP], True),
     (0o606, [GROUP], False)],
)  # fmt: skip
def test_others_need_the_sockets_group_and_its_mode(listener, mode, groups, enters):
    made, folder = listener
    os.chown(folder / "s", 0, GROUP)
    (folder / "s").chmod(mode | 0o006 if not enters else mode)
    nobody = pwd.getpwnam("nobody").pw_uid
    command = [sys.executable, "-c", CONNECT, str(folder), str(nobody), *map(str, groups)]
    client = subprocess.Popen(command)
    try:
        if mode == 0o606:  # to connect at all the kernel wants the group's bit; the check then reads the mode again
            (folder / "s").chmod(0o666)
        with made.accept()[0] as peer:
            (folder / "s").chmod(mode)
            who = visitor(peer)
            assert who.uid == nobody
            assert may_enter(peer, who) is enters
    finally:
        client.kill()
        client.wait()


def test_tcp_has_no_name_but_its_token():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        peer, _ = server.accept()
        with peer:
            assert visitor(peer) == Visitor("tcp")
            assert visitor(peer).key == "tcp"
    assert visitor_of({"state": {}}) == Visitor("unix")
