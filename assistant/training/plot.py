"""The loss curve of a run as an SVG file: training loss, held-out loss and the learning rate over tokens."""

from pathlib import Path

WIDTH, HEIGHT, MARGIN = 720, 400, 56
COLOURS = {"loss": "#9aa7b5", "held_out_loss": "#c2410c", "rate": "#2563eb"}
NAMES = {"loss": "training loss", "held_out_loss": "held-out loss", "rate": "learning rate (share of the peak)"}


def _line(points: list[tuple[float, float]], colour: str) -> str:
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{text}"/>'


def loss_plot(history: list[dict]) -> str:
    """SVG text; `history` as the trainer writes it."""
    if not history:
        return '<svg xmlns="http://www.w3.org/2000/svg"/>'
    most_tokens = max(entry["tokens"] for entry in history)
    highest = max(entry[key] for entry in history for key in ("loss", "held_out_loss") if key in entry)

    def place(tokens: float, share: float) -> tuple[float, float]:
        x = MARGIN + (WIDTH - 2 * MARGIN) * tokens / most_tokens
        return x, HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for tick in range(5):
        _, y = place(0, tick / 4)
        parts.append(f'<line x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y:.0f}" y2="{y:.0f}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{MARGIN - 8}" y="{y + 4:.0f}" text-anchor="end">{highest * tick / 4:.2f}</text>')
        x, bottom = place(most_tokens * tick / 4, 0)
        label = f"{most_tokens * tick / 4 / 1e6:.1f} M"
        parts.append(f'<text x="{x:.0f}" y="{bottom + 18:.0f}" text-anchor="middle">{label}</text>')
    for row, (key, colour) in enumerate(COLOURS.items()):
        scale = 1.0 if key == "rate" else highest
        points = [place(entry["tokens"], entry[key] / scale) for entry in history if key in entry]
        if points:
            parts.append(_line(points, colour))
            parts.append(
                f'<text x="{WIDTH - MARGIN}" y="{20 + 14 * row}" text-anchor="end" fill="{colour}">{NAMES[key]}</text>'
            )
    parts.append(f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle">positions read</text></svg>')
    return "\n".join(parts)


def write_loss_plot(history: list[dict], path: Path) -> None:
    path.write_text(loss_plot(history), encoding="utf-8")
