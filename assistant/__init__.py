"""The assistant: all that a person or a program meets, from the terminal to the scheduler."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    # Reading package metadata costs milliseconds that no start-up should pay for unasked.
    if name == "__version__":
        from importlib.metadata import version

        return version("rwkv-assistant")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
