"""What would stop the keys for a moment, done where nobody notices: imports, and Python's collections."""

from __future__ import annotations

import gc

COLLECT_AFTER = (20_000, 25, 50)
"""Objects until a collection of the young, and how many of those until one of the older and one of all (Python's own
are 700, 10, 10). A widget is made of a few hundred objects: with Python's, all of the app's were looked through for
50 ms in every second of a long reply. Measured: the memory of the app grows by 2 MB."""


def spare_the_keys() -> None:
    """Call it once, when the modules of the app are loaded: what is there by now stays, so it is never looked at."""
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def up() -> None:
    """Load what the first request and the first reply need. Takes 0.3 s, so call it in a thread."""
    from assistant import client
    from assistant.tui import markdown
    from assistant.tui.widgets import prose  # noqa: F401

    client.warm_up()
    for block in markdown.blocks("[a](b) *c* `d`\n\n- e\n\n```python\nf\n```"):  # compiles patterns
        block.lines(40)
    if gc.get_threshold() == COLLECT_AFTER:
        gc.freeze()
