"""The model card, written from the numbers of the run and of the evaluation: no figure is typed by hand."""

from pathlib import Path

import msgspec

from assistant.evaluation.report import Evaluation
from assistant.evaluation.table import table
from assistant.evaluation.transcripts import Transcript, as_markdown

CANNOT = """- No arithmetic and no reasoning; it says so and points to the calculator. No knowledge of the world beyond
  a few hundred facts, no news, no language but English. It mixes up facts at times, in a confident tone.
- It remembers what was told a few turns ago at best, and gets rare names wrong.
- Unusual wordings may get an answer that misses the point.
- Not for medical, legal or crisis advice. A program that uses it must handle words of crisis by rules, before the model
  sees them."""


class Metrics(msgspec.Struct):
    """The parts of `metrics.json` that the card needs; see `export`."""

    parameters: int
    vocabulary: int
    tokens_seen: int
    unique_tokens: int
    tokens_by_source: dict[str, int]
    wall_hours: float
    held_out_loss: float
    held_out_perplexity: float
    held_out_assistant_tokens: int
    steps: int
    decay_steps: int
    data_began: int  # the step since which the last data set is read
    seed: int
    sources: list[dict]
    loss_curve: list[dict]
    parity_with_rwkv_package: float
    mean_of: list[dict] = []  # steps, decay_steps and share of each finished model that was averaged


def _shares(metrics: Metrics) -> str:
    total = sum(metrics.tokens_by_source.values())
    parts = sorted(metrics.tokens_by_source.items(), key=lambda item: -item[1])
    return ", ".join(f"{name.replace('_', ' ')} {100 * count / total:.1f} %" for name, count in parts)


def _sources(metrics: Metrics) -> str:
    rows = ["| set | licence | from | used for | files, sha256 |", "|---|---|---|---|---|"]
    for source in metrics.sources:
        files = "<br>".join(f"`{name}` `{digest[:16]}...`" for name, digest in list(source["files"].items())[:3])
        more = len(source["files"]) - 3
        files += f"<br>and {more} more" if more > 0 else ""
        rows.append(f"| {source['name']} | {source['licence']} | {source['origin']} | {source['use']} | {files} |")
    return "\n".join(rows)


def _curve(metrics: Metrics, points: int = 12) -> str:
    measured = [entry for entry in metrics.loss_curve if "held_out_loss" in entry]
    chosen = measured[:: max(1, len(measured) // points)]
    chosen += [measured[-1]] if measured and chosen[-1] is not measured[-1] else []
    rows = ["| step | training loss | held-out loss |", "|---:|---:|---:|"]
    return "\n".join([*rows, *(f"| {e['step']:,} | {e['loss']:.3f} | {e['held_out_loss']:.3f} |" for e in chosen)])


def write_card(
    metrics: Metrics, evaluations: list[Evaluation], dialogues: list[Transcript], sealed: list[Evaluation]
) -> str:
    """Markdown. `sealed`: evaluations on the sealed part of the battery, if it was opened for this model."""
    battery = next((e.battery["greedy"] for e in evaluations if "greedy" in e.battery), None)
    asked = f"The battery's dev part has {battery.asked} probes; " if battery else ""
    opened = ""
    if sealed:
        opened = (
            "\nThe sealed third, asked once, after everything else was decided:\n\n```\n" + table(sealed) + "\n```\n"
        )
    began = ""
    if metrics.data_began:
        began = (
            f" Until step {metrics.data_began:,} another data set was read;\n"
            "the losses until then are of its own held-out part."
        )
    training = (
        f"{metrics.steps:,} steps, of these {metrics.decay_steps:,} of decay, {metrics.wall_hours:.2f} hours of "
        f"wall time on shared cores, seed {metrics.seed}"
    )
    if metrics.mean_of:
        parts = "; ".join(
            f"{part['steps']:,} steps, {part['decay_steps']:,} of decay: {part['share']:.0%}"
            for part in metrics.mean_of
        )
        training += f"; the weights are the mean of {len(metrics.mean_of)} branches of that run ({parts})"
    return f"""# Model card: the embedded model

A very small RWKV-7 ("x070") for short, friendly chat in English, trained from scratch on a CPU by the recipe in
`assistant/training`. It is often wrong. Nothing from another model's weights is in it.

| | |
|---|---|
| Parameters | {metrics.parameters:,} (vocabulary {metrics.vocabulary:,}) |
| Training | {training} |
| Tokens | {metrics.tokens_seen / 1e6:.1f} M seen; the last data set has {metrics.unique_tokens / 1e6:.1f} M |
| Licence | Apache-2.0 |
| Format | `User: ...\\n\\nAssistant:`; the logits of seven labels behind `Feeling:`, of three behind `Valence:` |
| Moods | `probe.safetensors`, a read-out of the state (`python -m assistant.training probe`; docs/mood.md) |

## Measured

Printed by `assistant eval`:

```
{table(evaluations)}
```
{opened}
{asked}a rule of patterns accepts or refuses the last answer of each, one answer counts for at
most 5 % of them. What comes close to a probe was kept out of the training data, for facts the very words. "Answers
dealt at random" is what the same answers would score if each were given to another probe. The author of the battery
wrote the grammar as well, after the battery. Logits differ from those of the `rwkv` package by at most
{metrics.parity_with_rwkv_package:.1e} (float32).

Held-out loss of assistant tokens by phrasings kept from training ({metrics.held_out_assistant_tokens:,} tokens):
{metrics.held_out_loss:.4f}, perplexity {metrics.held_out_perplexity:.3f}.{began}

{_curve(metrics)}

## Data

By tokens: {_shares(metrics)}.
"grammar" is written by the dialogue grammar of this project; answered comments are real comments with an answer of the
grammar. Foul text is dropped or not imitated.

{_sources(metrics)}

## What it cannot do

{CANNOT}

## Ten dialogues, unedited

Greedy, in the shipped precision. The questions were fixed before any answer was seen.

{as_markdown(dialogues)}
"""


def read_metrics(path: Path) -> Metrics:
    return msgspec.json.decode(path.read_bytes(), type=Metrics)


def read_evaluations(path: Path | None) -> list[Evaluation]:
    """What `assistant eval --json` printed."""
    return msgspec.json.decode(path.read_bytes(), type=list[Evaluation]) if path else []
