"""What an answer costs: time, bytes, joules; how each figure is known; and what the host could do at best."""

from assistant.meter.answer import Meter

__all__ = ["Meter"]
