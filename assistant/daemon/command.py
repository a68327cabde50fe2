"""`assistant serve`: the options of the daemon; the daemon itself is loaded when it runs."""

from __future__ import annotations

import sys

import click


@click.command("serve")
@click.option("--fd", type=click.IntRange(min=3), help="Serve this inherited listening socket (socket activation).")
@click.option("--idle-exit-s", type=click.FloatRange(min=0), help="Leave after this many idle seconds; 0: never.")
@click.option("--backend", help="Compute on this backend instead of the configured one.")
def command(fd: int | None, idle_exit_s: float | None, backend: str | None) -> None:
    """Run the daemon in this terminal.

    It listens on a unix socket that only you can open, and on no network.
    """
    from assistant.daemon.lifecycle import serve

    sys.exit(serve(fd=fd, idle_exit_s=0.0 if idle_exit_s is None else idle_exit_s, backend=backend))
