"""Nothing of ours speaks to a network: the switches of libraries that would, and the filter on the daemon itself."""

from __future__ import annotations

import os

from assistant.errors import UsageError

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime >= 1.29 (decision 001); read when it is loaded
    "HF_HUB_OFFLINE": "1",  # huggingface_hub, if a plug-in brings it
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}

reason: str | None = None
"""Why this process has no filter of its own; None while it has one."""


def switch_off_telemetry() -> None:
    """For this process and its children. To be called before any library is loaded."""
    os.environ.update(SWITCHES)


def fall_silent(unfiltered: bool = False) -> None:
    """Switches off, filter on. `unfiltered` leaves the filter out, for a self-test that wants to see what is tried.

    Raises UsageError if that is asked for where there is a network.
    """
    global reason
    import socket

    from assistant import seccomp

    switch_off_telemetry()
    if unfiltered:
        if others := [name for _, name in socket.if_nameindex() if name != "lo"]:
            raise UsageError("the filter stays on", why=f"this machine has the network interface {others[0]}")
        reason = "left out for a self-test, in a network namespace of its own"
        return
    try:
        seccomp.deny_network()
    except seccomp.FilterUnavailable as error:
        reason = f"{error.where or error.what}: {error.why}"
