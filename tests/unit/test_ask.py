"""`assistant ask`: the reply on stdout, talk on stderr, exit codes a script can rely on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from assistant import launch, paths, wire
from assistant.ask import command
from assistant.errors import AssistantError, DaemonUnavailable, RequestError
from tests.fake_daemon import DaemonThread, FakeDaemon, Reply

PROGRAM = [sys.executable, "-c", "from assistant.ask import command; command()"]


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    with DaemonThread(paths.socket_path()) as fake:
        yield fake


def run(*args: str, piped: str | None = None) -> Result:
    return CliRunner().invoke(command, list(args), input=piped)


def sent(daemon: FakeDaemon) -> dict[str, object]:
    """The body of the last message."""
    return next(body for _, path, body in reversed(daemon.requests) if path.endswith("/messages"))


def test_the_reply_is_all_of_stdout(daemon: FakeDaemon) -> None:
    result = run("hello", "world")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "Hello from the fake.\n", "")
    assert sent(daemon)["content"] == "hello world"
    assert [chat.title for chat in daemon.chats.values()] == ["hello world"]


def test_what_is_piped_in_goes_below_the_prompt(daemon: FakeDaemon) -> None:
    run("summarize:", piped="line 1\nline 2\n")
    assert sent(daemon)["content"] == "summarize:\nline 1\nline 2"
    run(piped="only this\n")
    assert sent(daemon)["content"] == "only this"


def test_no_question_is_a_usage_error() -> None:
    result = run(piped="  \n")
    assert result.exit_code == 2
    assert "nothing is asked" in result.stderr


def test_json_holds_the_text_the_ids_and_the_cost(daemon: FakeDaemon) -> None:
    result = run("hi", "--json")
    answer = json.loads(result.stdout)
    assert set(answer) == {"text", "chat_id", "message_id", "finish_reason", "usage", "cost"}
    assert answer["text"] == "Hello from the fake."
    assert answer["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == 16
    assert answer["cost"]["energy_basis"] == "modelled"
    assert daemon.chats[answer["chat_id"]].head_id == answer["message_id"]


def test_sampling_is_passed_on_and_nothing_else(daemon: FakeDaemon) -> None:
    run("hi", "--temperature", "0", "--seed", "7", "--stop", "a", "--stop", "b", "--max-tokens", "5")
    assert sent(daemon) == {
        "content": "hi",
        "root": False,
        "temperature": 0.0,
        "seed": 7,
        "stop": ["a", "b"],
        "max_tokens": 5,
    }


def test_a_chat_is_continued_by_id_or_as_the_newest(daemon: FakeDaemon) -> None:
    old = daemon.add_chat("old", "q", "a")
    new = daemon.add_chat("new", "q", "a")
    daemon.chats[new].updated_at += 1
    daemon.chats[old].pinned = True  # listed first, but not the newest
    assert run("more", "--continue").exit_code == 0
    assert daemon.texts(new) == ["q", "a", "more", "Hello from the fake."]
    assert run("more", "--chat", old).exit_code == 0
    assert daemon.texts(old) == ["q", "a", "more", "Hello from the fake."]


def test_a_system_prompt_belongs_to_a_new_chat(daemon: FakeDaemon) -> None:
    run("hi", "--system", "be brief")
    assert [chat.system for chat in daemon.chats.values()] == ["be brief"]
    assert run("hi", "--system", "be brief", "--continue").exit_code == 2


def test_discard_leaves_no_chat_even_after_a_failure(daemon: FakeDaemon) -> None:
    assert run("secret", "--discard").stdout == "Hello from the fake.\n"
    assert daemon.chats == {}
    daemon.replies.append(Reply(["part"], error=wire.ErrorBody(message="out of memory")))
    assert run("secret", "--discard").exit_code == 1
    assert daemon.chats == {}


def test_discard_never_deletes_an_older_chat(daemon: FakeDaemon) -> None:
    old = daemon.add_chat("old", "q", "a")
    assert run("hi", "--discard", "--chat", old).exit_code == 2
    assert old in daemon.chats


def test_a_failed_reply_ends_its_line_and_raises(daemon: FakeDaemon) -> None:
    daemon.replies.append(Reply(["part"], error=wire.ErrorBody(message="out of memory")))
    result = run("hi")
    assert result.stdout == "part\n"
    assert isinstance(result.exception, RequestError)
    assert result.exception.exit_code == 1


def test_a_busy_daemon_means_try_again(daemon: FakeDaemon) -> None:
    daemon.replies.append(Reply(status=429, error=wire.ErrorBody(message="too many", code="busy")))
    result = run("hi")
    assert isinstance(result.exception, RequestError)
    assert result.exception.exit_code == 75
    assert result.stdout == ""


def test_death_in_mid_reply_says_what_is_kept_and_how_to_go_on(daemon: FakeDaemon) -> None:
    daemon.replies.append(Reply(die_at=2))
    result = run("hi")
    assert result.stdout == "Hello from \n"
    assert isinstance(result.exception, AssistantError)
    assert result.exception.exit_code == 75
    chat_id = next(iter(daemon.chats))
    assert "are kept" in str(result.exception)
    assert f"assistant chat --chat {chat_id}" in str(result.exception)


def test_no_daemon_and_none_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "serve_command", lambda backend: ["/nonexistent/python"])
    result = run("hi")
    assert isinstance(result.exception, DaemonUnavailable)
    assert result.exception.exit_code == 69
    assert result.stdout == ""
    assert "starting the daemon" in result.stderr


def test_a_loading_daemon_is_waited_for(daemon: FakeDaemon) -> None:
    daemon.ready_after = 3
    result = run("hi")
    assert (result.exit_code, result.stdout) == (0, "Hello from the fake.\n")
    assert daemon.ready_after == -1
    assert result.stderr == "the model is being loaded ...\n"


def test_control_characters_reach_a_pipe_unchanged(daemon: FakeDaemon) -> None:
    daemon.replies.append(Reply(["a\x1b[2Jb"]))
    assert run("hi").stdout == "a\x1b[2Jb\n"


def test_ctrl_c_stops_the_reply_and_exits_130(daemon: FakeDaemon) -> None:
    daemon.replies.append(Reply(hold=2))
    client = subprocess.Popen(
        [*PROGRAM, "hi"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stdout
    assert client.stdout.read(11) == "Hello from "
    client.send_signal(signal.SIGINT)
    rest, talk = client.communicate(timeout=30)
    assert client.returncode == 130
    assert (rest, talk) == ("\n", "stopped\n")
    wait_for_status(daemon, "cancelled")


def test_a_reader_that_leaves_stops_the_reply(daemon: FakeDaemon) -> None:
    script = Reply(["one\n"] + ["more\n"] * 5000)
    daemon.replies.append(script)
    client = subprocess.Popen(
        [*PROGRAM, "hi"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stdout
    assert client.stderr
    client.stdout.close()
    assert client.stderr.read() == ""
    assert client.wait(timeout=30) == 141
    wait_for_status(daemon, "cancelled")


def test_importing_the_command_loads_no_client_and_no_screen() -> None:
    code = "import assistant.ask, assistant.tui.command, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"httpx", "textual", "msgspec"} & set(loaded.stdout.split())


def wait_for_status(daemon: FakeDaemon, status: wire.MessageStatus) -> None:
    deadline = time.monotonic() + 10
    while not any(message.status == status for message in daemon.messages.values()):
        assert time.monotonic() < deadline, [m.status for m in daemon.messages.values()]
        time.sleep(0.01)
