"""The results as text: a table with a column per backend and precision, and bars for the battery's categories."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assistant.evaluation.report import Evaluation

BAR_WIDTH = 30


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.3f}" if abs(value) < 1000 else f"{value:,.0f}"


def _rows(results: Sequence[Evaluation]) -> list[tuple[str, Callable[[Evaluation], str]]]:
    """(what, how to read it from an evaluation) for everything that any of the results holds."""
    rows: list[tuple[str, Callable[[Evaluation], str]]] = []
    for mode in ("greedy", "sampled"):

        def battery(e: Evaluation, mode: str = mode) -> str:
            b = e.battery.get(mode)
            return f"{b.answered}/{b.asked} = {_percent(b.share)}" if b else ""

        def stock(e: Evaluation, mode: str = mode) -> str:
            return _percent(e.battery[mode].stock_share) if mode in e.battery else ""

        def chance(e: Evaluation, mode: str = mode) -> str:
            return _percent(e.battery[mode].chance) if mode in e.battery else ""

        rows += [(f"battery, {mode}", battery), ("  commonest answer", stock), ("  answers dealt at random", chance)]
    rows.append(("known things refused", lambda e: _percent(e.wrongly_refused)))
    for name, key in (("perplexity of replies", "perplexity"), ("  bits per byte", "bits_per_byte")):
        rows.append((name, lambda e, key=key: _number(e.perplexity.get(key))))
    for domain in dict.fromkeys(name for e in results for name in e.feelings):
        for key, label in (
            ("accuracy", "7 feelings"),
            ("macro_f1", "macro-F1"),
            ("valence_accuracy", "valence"),
            ("vader_valence_accuracy", "valence by VADER"),
            ("rank_correlation", "rank correlation"),
            ("vader_rank_correlation", "rank correlation of VADER"),
        ):
            rows.append((f"{domain}: {label}", lambda e, d=domain, k=key: _number(e.feelings.get(d, {}).get(k))))
    rows.append(("out of scope admitted", lambda e: _percent(e.limits.get("admitted"))))
    rows.append(("last words (LAMBADA style)", lambda e: _percent(e.lambada.get("accuracy"))))
    for method in dict.fromkeys(name for e in results for name in e.questions):
        for key, label in (("answer_in_quote", "answer quoted"), ("false_answers", "answers to what is not there")):
            rows.append(
                (f"documents, {method}: {label}", lambda e, m=method, k=key: _percent(e.questions.get(m, {}).get(k)))
            )
    for key in ("cheer_at_grief", "foul", "loops", "empty", "distinct_replies"):
        rows.append((key.replace("_", " "), lambda e, key=key: _percent(e.tone.get(key))))
    return [(what, read) for what, read in rows if any(read(e) for e in results)]


def table(results: Sequence[Evaluation]) -> str:
    """A column per result; a simulated device says so in its heading."""
    heads = [f"{e.backend}{' (simulated)' if e.simulated else ''} {e.precision}" for e in results]
    lines = [[what, *(read(e) for e in results)] for what, read in _rows(results)]
    lines = [[results[0].model if results else "", *heads], *lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads) + 1)]
    text = []
    for number, line in enumerate(lines):
        text.append("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if number == 0:
            text.append("  ".join("-" * width for width in widths))
    text += [line for e in results if e.mood for line in ("", *_moods(e))]
    return "\n".join(text)


MOOD_READERS = ("probe", "probe in chat", "lexicon", "zero-shot", "VADER", "commonest")
MOOD_FIGURES = {
    "accuracy": "7 feelings", "macro_f1": "macro-F1", "calibration_error": "ECE", "valence_accuracy": "valence",
    "rank_correlation": "rank corr.", "intensity_correlation": "intensity corr.", "intensity_error": "intensity error",
}  # fmt: skip


def _moods(e: Evaluation) -> list[str]:
    """A line for each domain and reader of moods, a column for each figure."""
    used = [key for key in MOOD_FIGURES if any(name.endswith(f" {key}") for s in e.mood.values() for name in s)]
    lines = [[f"moods, {e.backend} {e.precision}", "read by", *(MOOD_FIGURES[key] for key in used)]]
    for domain, scores in e.mood.items():
        title = f"{domain} ({scores['examples']:,.0f})"
        for reader in MOOD_READERS:
            cells = [_number(scores.get(f"{reader} {key}")) for key in used]
            if any(cells):
                lines.append([title, reader, *cells])
                title = ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def plot(results: Sequence[Evaluation]) -> str:
    """A bar for each category of the battery, greedy."""
    lines = []
    for e in results:
        if "greedy" not in e.battery:
            continue
        lines.append(f"\nbattery by category, {e.backend} {e.precision}, {e.battery['greedy'].part} part")
        categories = e.battery["greedy"].by_category
        width = max(map(len, categories), default=0)
        for name, (right, asked) in categories.items():
            filled = round(BAR_WIDTH * right / max(1, asked))
            lines.append(f"{name:<{width}} {'█' * filled}{'░' * (BAR_WIDTH - filled)} {right}/{asked}")
    return "\n".join(lines)
