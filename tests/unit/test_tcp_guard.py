"""The TCP door: who gets past Host, Origin and token, and what the token's file must be."""

from __future__ import annotations

import stat

import pytest

from assistant import paths
from assistant.daemon.tcp import TcpGuard, read_token
from assistant.errors import ConfigError, RequestError

TOKEN = "correct-horse-battery-staple"
GUARD = TcpGuard(None, TOKEN, 8642)


def headers(**given: str) -> list[tuple[bytes, bytes]]:
    given = {"host": "127.0.0.1:8642", "authorization": f"Bearer {TOKEN}"} | given
    return [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in given.items() if value]


@pytest.mark.parametrize(
    "given",
    [{}, {"host": "localhost:8642"}, {"host": "LOCALHOST"}, {"host": "[::1]:8642"}, {"sec_fetch_site": "same-origin"},
     {"authorization": f"bearer {TOKEN}"}, {"origin": "http://127.0.0.1:8642"}],
)  # fmt: skip
def test_these_get_in(given):
    GUARD.check(headers(**given))


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"host": "evil.example:8642"}, 403),  # DNS rebinding: the page's own name points here
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "127.0.0.1:80"}, 403),
        ({"host": ""}, 403),
        ({"host": "0.0.0.0:8642"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "https://127.0.0.1:8642"}, 403),
        ({"origin": "http://localhost:3000"}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"authorization": ""}, 401),
        ({"authorization": TOKEN}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": f"Bearer {TOKEN}x"}, 401),
        ({"authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Bearer \xff\xfe"}, 401),
    ],
)
def test_these_do_not(given, status):
    with pytest.raises(RequestError) as error:
        GUARD.check(headers(**given))
    assert error.value.status == status
    assert TOKEN not in str(error.value)


def test_two_hosts_or_two_tokens_are_one_too_many():
    for twice in ("host", "authorization"):
        both = [*headers(), (twice.encode(), b"127.0.0.1:8642")]
        with pytest.raises(RequestError):
            GUARD.check(both)


def test_a_guard_without_a_token_lets_nobody_in():
    for token in (None, ""):
        with pytest.raises(RequestError):
            TcpGuard(None, token, 8642).check(headers(authorization="Bearer "))


def test_the_token_is_made_once_and_private(home):
    first = read_token()
    assert read_token() == first
    assert len(first) >= 32
    assert stat.S_IMODE(paths.token_file().stat().st_mode) == 0o600


def test_a_token_that_others_could_read_is_refused(home):
    read_token()
    paths.token_file().chmod(0o640)
    with pytest.raises(ConfigError, match="others may read"):
        read_token()


def test_a_planted_link_is_refused(home, tmp_path):
    paths.ensure_private_dir(paths.state_dir())
    paths.token_file().symlink_to(tmp_path / "theirs")
    with pytest.raises(ConfigError):
        read_token()


def test_a_weak_token_is_refused(home):
    read_token()
    paths.token_file().write_text("1234\n")
    with pytest.raises(ConfigError, match="weak"):
        read_token()
