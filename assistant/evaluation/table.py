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
    for domain, key in dict.fromkeys((name, key) for e in results for name, scores in e.mood.items() for key in scores):
        if key != "examples":
            label = f"mood, {domain}: {key.replace('_', ' ')}"
            rows.append((label, lambda e, d=domain, k=key: _number(e.mood.get(d, {}).get(k))))
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
    return "\n".join(text)


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
