"""What was said, and the states to go on from: SQLite for text, files for checkpoints."""

from assistant.history.checkpoints import Checkpoint, Checkpoints
from assistant.history.store import History

__all__ = ["Checkpoint", "Checkpoints", "History"]
