"""The plan card: what runs, what would be chosen and why, in figures that say how they are known."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from assistant import wire
from assistant.tui.figures import digits
from assistant.wire import BASIS_GLYPH

SHOWN = ("ms_per_token", "ttft_s", "joules_per_token", "watts", "memory_mb", "quality", "conversations")
NAMES = {"ms_per_token": "time per token", "ttft_s": "first token", "joules_per_token": "energy per token",
         "watts": "power", "memory_mb": "memory", "quality": "quality", "conversations": "conversations"}  # fmt: skip


class PlanCard(Widget):
    HELP = (
        "What runs now and why, and what the solver would choose under the limits as they stand. ~ is modelled, ◇ "
        "simulated, no mark measured."
    )

    status: reactive[wire.PlanStatus | None] = reactive(None, layout=True)
    view: reactive[wire.PlanView | None] = reactive(None, layout=True)

    def render(self) -> Content:
        status, view = self.status, self.view
        if status is None or view is None:
            return Content("asking the daemon …")
        lines = [_pair("runs", status.active), _pair("because", f"{status.reason} · on {_power(status.power)}")]
        if status.pending:
            lines.append(Content.assemble(("  goes over to  ", "$text-warning"), status.pending))
        if status.note:
            lines.append(Content.assemble(("  note  ", "$text-warning"), status.note))
        guess = status.prediction
        if guess.predicted_ms and guess.measured_ms:
            lines.append(_pair("pass", f"~{digits(guess.predicted_ms)} ms predicted, {digits(guess.measured_ms)} ms "
                               f"measured over {guess.replies} replies"))  # fmt: skip
        return Content("\n").join([*lines, *chosen(view, status.active, 4 if self.size.width >= 90 else 2)])


def chosen(view: wire.PlanView, active: str, per_line: int = 4) -> list[Content]:
    if view.choice is None:
        lines = [Content.assemble(("  nothing fits: ", "bold $text-error"), view.why_not or "")]
        lines += [Content.assemble("  change ", (r.words, "bold")) for r in view.relaxations[:3]]
        return lines + [Content.assemble("  together: ", (r.words, "bold")) for r in view.together[:3]]
    option = view.choice
    same = " (runs)" if option.name == active else ""
    mark = "◇ " if option.simulated else ""
    head = Content.assemble(("  choice  ", "$text-muted"), (f"{mark}{option.name}", "bold $text-success"), same)
    figures = [text for key in SHOWN if (text := _figure(key, option.figures.get(key)))]
    lines = [_pair("", " · ".join(figures[start : start + per_line])) for start in range(0, len(figures), per_line)]
    return [head, _pair("where", option.where), *lines]


def _figure(key: str, figure: wire.FigureView | None) -> str:
    if figure is None or figure.value is None:
        return ""
    if figure.unit == "share":
        value = f"{figure.value:.0%}"
    elif figure.value < 0.01:
        value = f"{figure.value * 1e3:.3g} m{figure.unit}"
    else:
        value = f"{digits(figure.value) if figure.unit else f'{figure.value:g}'} {figure.unit}".rstrip()
    return f"{NAMES[key]} {BASIS_GLYPH[figure.basis]}{value}"


def _pair(word: str, text: str) -> Content:
    return Content.assemble((f"  {word:<8}", "$text-muted"), text)


def _power(power: str) -> str:
    return {"mains": "mains power", "battery": "battery", "unknown": "a power source unknown"}.get(power, power)
