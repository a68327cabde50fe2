"""The top line: whether the daemon answers, which chat this is, and what computes the replies."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from assistant.tui.connection import Link, Phase
from assistant.tui.figures import count

_LOOK = {
    Phase.STARTING: ("◌", "$text-warning"),
    Phase.LOADING: ("◔", "$text-warning"),
    Phase.READY: ("●", "$text-success"),
    Phase.SLOW: ("◑", "$text-warning"),
    Phase.LOST: ("○", "$text-error"),
}


class StatusHeader(Widget):
    HELP = (
        "State of the daemon and how many requests wait for a free slot, title of the chat; model, backend and "
        "precision. ◇ marks a simulated device."
    )

    link: reactive[Link] = reactive(Link())
    chat_title: reactive[str] = reactive("")
    busy: reactive[bool] = reactive(False)
    voice: reactive[str] = reactive("")

    def render(self) -> Content:
        state, room = self._state(), self.size.width
        device = self._device(room - state.cell_length - 3)
        title_room = room - state.cell_length - device.cell_length - 4
        title = self.chat_title if title_room >= 8 else ""
        if len(title) > title_room:
            title = title[: title_room - 1] + "…"
        # The title in the middle of the line if it fits there, else in the middle of the gap.
        left = max((room - len(title)) // 2, state.cell_length + 2)
        left = min(left, room - device.cell_length - 2 - len(title))
        middle = Content.assemble(" " * max(left - state.cell_length, 1), (title, "$foreground"))
        gap = room - state.cell_length - middle.cell_length - device.cell_length
        return Content.assemble(state, middle, " " * max(gap, 1), device)

    def _state(self) -> Content:
        glyph, colour = _LOOK[self.link.phase]
        word = self.link.phase.value
        if self.link.phase is Phase.READY and self.busy:
            word = "replying"
        elif self.link.phase is Phase.STARTING and self.link.detail:
            word = self.link.detail
        elif self.link.phase is Phase.LOST:
            word += ", reconnecting"
        elif self.link.phase is Phase.LOADING:
            word = "loading the model"
        queued = self.link.ready.engine.queued if self.link.ready and self.link.ready.engine else 0
        waiting = f" · {queued} in the queue" if queued and self.link.phase is Phase.READY else ""
        voice = f" · {self.voice}" if self.voice else ""
        return Content.assemble((f"{glyph} ", colour), (word, f"bold {colour}"), waiting, (voice, "$text-accent"))

    def _device(self, room: int) -> Content:
        ready = self.link.ready
        if ready is None or ready.backend is None or ready.model is None:
            return Content("")
        model, backend = ready.model, ready.backend
        name = f"◇ {backend.name} simulated" if backend.simulated else backend.name
        full = f"{model.name} ({count(model.parameters)}) · {name} · {backend.precision}"
        short = f"{model.name} · {name} · {backend.precision}"
        shortest = f"{name} · {backend.precision}"
        text = next((text for text in (full, short, shortest) if len(text) <= room), "")
        return Content.assemble((text, "$text-warning" if backend.simulated else ""))
