"""One evaluation of one model on one backend in one precision: what is measured, in which order, and where it is kept.

Results lie in <data>/evaluations/<model>.json, by backend and precision; the solver reads its quality floor from them.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from assistant import paths
from assistant.errors import UsageError
from assistant.evaluation import feelings, language, questions
from assistant.evaluation.battery import DEV, SEALED, BatteryScore, read_battery, score
from assistant.evaluation.limits import score_limits, wrongly_refused
from assistant.evaluation.mood import score_mood
from assistant.evaluation.talker import GREEDY, SAMPLED, Talker
from assistant.evaluation.tone import HEAVY, score_tone
from assistant.models.atomic import replacing
from assistant.models.results import results_file

Scores = dict[str, float]
PARTS = ("battery", "perplexity", "tone", "feelings", "mood", "limits", "lambada", "questions")


class Battery(msgspec.Struct, frozen=True, kw_only=True):
    """The battery's totals; `chance`: the same answers dealt to other probes of the battery at random."""

    part: str
    asked: int
    answered: int
    by_category: dict[str, tuple[int, int]]
    stock_answer: str
    stock_share: float
    chance: float

    @property
    def share(self) -> float:
        return self.answered / max(1, self.asked)


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """All results of one run; a part that was not asked for is empty. `simulated`: computed on a simulated chip."""

    model: str
    source_sha256: str
    backend: str
    simulated: bool
    precision: str
    program: str
    finished_at: str
    seconds: float
    battery: dict[str, Battery] = {}  # by how answers are chosen: greedy, sampled
    wrongly_refused: float | None = None
    perplexity: Scores = {}
    tone: Scores = {}
    feelings: dict[str, Scores] = {}  # by domain
    mood: dict[str, Scores] = {}  # by domain, "<reader> <figure>"
    limits: Scores = {}
    lambada: Scores = {}
    questions: dict[str, Scores] = {}  # by method; of the program and not of the model


WANTS = {"feelings": ("data", "rated"), "mood": ("data", "rated"), "limits": ("data",), "lambada": ("lambada",)}
"""Parts that read a file of the user's, and the options of which one has to name it."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure. `data`: folder with goemotions/ and clinc/; `rated`: folder of VADER's rated sets."""

    parts: tuple[str, ...] = PARTS
    battery_part: str = DEV
    sampled: bool = True
    data: Path | None = None
    rated: Path | None = None
    lambada: Path | None = None
    dialogues: Path = language.HELD_OUT_FILE
    limit: int | None = None

    def __post_init__(self) -> None:
        if unknown := set(self.parts) - set(PARTS):
            raise UsageError(
                f"nothing to measure is called {sorted(unknown)[0]!a}", hint=f"There is: {', '.join(PARTS)}"
            )

    @property
    def unmeasured(self) -> dict[str, str]:
        """The parts that cannot be measured with these options, and what would have to be given."""
        return {
            part: " or ".join(f"--{name}" for name in wants)
            for part, wants in WANTS.items()
            if part in self.parts and not any(getattr(self, name) for name in wants)
        }


def chance_level(result: BatteryScore, rounds: int = 20, seed: int = 0) -> float:
    """The share that the same replies would pass if each were given to some other probe."""
    rng = random.Random(seed)
    probes = [outcome.probe for outcome in result.outcomes]
    replies = [list(outcome.replies) for outcome in result.outcomes]
    shares = [score(probes, rng.sample(replies, len(replies))).share for _ in range(rounds)]
    return sum(shares) / max(1, len(shares))


def evaluate(talker: Talker, options: Options) -> tuple[Evaluation, dict[str, BatteryScore]]:
    """Measure everything that is asked for and that the given files allow; also the battery's outcomes, by mode."""
    began = time.monotonic()
    manifest, info = talker.model.manifest, talker.backend.info
    parts: dict[str, object] = {}
    outcomes: dict[str, BatteryScore] = {}
    if "battery" in options.parts:
        probes = read_battery(options.battery_part)[: options.limit]
        for mode, params in (("greedy", GREEDY), ("sampled", SAMPLED)) if options.sampled else (("greedy", GREEDY),):
            replies = talker.converse([p.turns for p in probes], params, f"battery, {mode}")
            outcomes[mode] = score(probes, replies)
        parts["battery"] = {
            mode: Battery(
                part=options.battery_part,
                asked=result.asked,
                answered=result.answered,
                by_category=result.by_category,
                stock_answer=result.stock_answer if options.battery_part != SEALED else "",
                stock_share=result.stock_share,
                chance=chance_level(result),
            )
            for mode, result in outcomes.items()
        }
        parts["wrongly_refused"] = wrongly_refused(outcomes["greedy"])
    if "perplexity" in options.parts:
        parts["perplexity"] = language.score_replies(talker, options.dialogues, options.limit)
    if "tone" in options.parts:
        heavy = [turn[0] for turn in talker.converse([(text,) for text in HEAVY], stage="tone")]
        others = [o.replies[-1] for o in outcomes["greedy"].outcomes] if outcomes else []
        parts["tone"] = score_tone(heavy, others)
    if "feelings" in options.parts:
        found: dict[str, Scores] = {}
        if options.data:
            found["GoEmotions"] = feelings.score_goemotions(talker, options.data, options.limit)
        if options.rated:
            for domain in feelings.RATED_SETS:
                found[domain] = feelings.score_domain(talker, options.rated, domain, options.limit)
        parts["feelings"] = found
    if "mood" in options.parts:
        parts["mood"] = score_mood(talker, options.data, options.rated, options.limit)
    if "limits" in options.parts and options.data:
        parts["limits"] = score_limits(talker, options.data, options.limit)
    if "lambada" in options.parts and options.lambada:
        parts["lambada"] = language.score_last_words(talker, options.lambada, options.limit)
    if "questions" in options.parts:
        parts["questions"] = questions.score_all()
    result = Evaluation(
        model=manifest.name,
        source_sha256=manifest.source.sha256,
        backend=info.name,
        simulated=info.simulated,
        precision=talker.model.weights.precision,
        program=version("rwkv-assistant"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began, 1),
        **parts,
    )
    return result, outcomes


def stored(model: str, folder: Path | None = None) -> dict[str, Evaluation]:
    """All kept evaluations of a model by `backend/precision`; a file that cannot be read counts as none."""
    try:
        return msgspec.json.decode(results_file(model, folder).read_bytes(), type=dict[str, Evaluation])
    except (OSError, msgspec.MsgspecError):
        return {}


def store(result: Evaluation, folder: Path | None = None) -> Path:
    """Keep a result. It replaces what was measured before in the parts it has; other parts stay if the model did."""
    path = results_file(result.model, folder)
    paths.ensure_private_dir(path.parent)
    kept, key = stored(result.model, folder), f"{result.backend}/{result.precision}"
    old = kept.get(key)
    if old and old.source_sha256 == result.source_sha256:
        measured = (
            "battery", "wrongly_refused", "perplexity", "tone", "feelings", "mood", "limits", "lambada", "questions",
        )  # fmt: skip
        filled = {name: getattr(old, name) for name in measured if not getattr(result, name)}
        result = msgspec.structs.replace(result, **filled)
    with replacing(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode({**kept, key: result}), indent=2))
    return path
