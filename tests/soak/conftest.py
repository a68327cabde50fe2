"""The daemon fixtures of tests/daemon, for the long runs."""

from tests.daemon.conftest import daemon, prepared_home, running, synthetic_file

__all__ = ["daemon", "prepared_home", "running", "synthetic_file"]
