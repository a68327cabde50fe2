"""`assistant serve`: the options of the daemon; the daemon itself is loaded when it runs."""

from __future__ import annotations

import sys

import click

DEFAULT_PORT = 8642


@click.command("serve")
@click.option("--fd", type=click.IntRange(min=3), help="Serve this inherited listening socket (socket activation).")
@click.option(
    "--tcp",
    is_flag=False,
    flag_value=DEFAULT_PORT,
    metavar="[PORT]",
    type=click.IntRange(0, 65535),
    help=f"Listen on 127.0.0.1 too (default port {DEFAULT_PORT}; 0: any), for clients with the token.",
)
@click.option("--idle-exit-s", type=click.FloatRange(min=0), help="Leave after this many idle seconds; 0: never.")
@click.option("--backend", help="Compute on this backend instead of the configured one.")
@click.option("--unfiltered", is_flag=True, hidden=True, help="No seccomp filter; only where there is no network.")
def command(fd: int | None, tcp: int | None, idle_exit_s: float | None, backend: str | None, unfiltered: bool) -> None:
    """Run the daemon in this terminal.

    It listens on a unix socket that only you can open, and on no network. With --tcp it listens on loopback as well,
    for clients that cannot use a unix socket; they need the token that is kept in the file `token` of the state folder.
    """
    from assistant import silence

    loopback = None
    if tcp is not None:  # now or never: the filter lets no such socket be made, but one that listens goes on
        from assistant.daemon.door import bind_loopback

        loopback = bind_loopback(tcp)
    silence.fall_silent(unfiltered)  # before any library is loaded
    from assistant.daemon.lifecycle import serve
    from assistant.daemon.notify import passed_socket

    fd = passed_socket() if fd is None else fd
    sys.exit(serve(fd=fd, tcp=loopback, idle_exit_s=0.0 if idle_exit_s is None else idle_exit_s, backend=backend))
