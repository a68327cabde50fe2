"""Data-parallel training on CPU: one-thread worker processes share flat parameters and split the optimizer's work.

A step: every worker fills its gradient, a barrier, each worker sums and updates its share of the parameters, a barrier.
Batches depend only on (seed, step, rank), so a run that resumes from a checkpoint is the run that never stopped.
A run has no planned length: it stays at the peak learning rate, over as many sittings and data sets as it takes, and
`finish` branches a decayed (and quantization-aware) model off it at any time.
"""

import hashlib
import json
import math
import shutil
import signal
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F
from torch import Tensor

from assistant.errors import UsageError
from assistant.training.documents import Rows, load_rows
from assistant.training.model import Rwkv7, Shape
from assistant.training.optimizer import MAX_GRADIENT_NORM, Schedule, bind, share_of, slots_of, update
from assistant.training.rounding import round_into

FULL_WEIGHT = 10  # of an assistant token (a label weighs more); a row's weights are tenths
LOG_EVERY = 20
EMBEDDED_SAMPLE = 0.25  # share of the lightly weighted positions whose loss is computed (then counted 4 times)
CHECKPOINT_FILE = "checkpoint.pt"


@dataclass(frozen=True)
class Run:
    """Everything that defines one sitting of a training run."""

    data: Path
    out: Path
    shape: Shape = field(default_factory=Shape)
    steps: int = 0  # stop at this step of the run (0: no such limit)
    minutes: float = 0.0  # stop after so long (0: no such limit)
    rows_per_worker: int = 8
    workers: int = 2
    seed: int = 0
    peak: float = 1.0  # share of the optimizer's peak rates
    compiled: bool = True
    checkpoint_minutes: float = 4.0
    evaluate_every: int = 200
    decay_steps: int = 0  # a finish: decay over so many steps from the checkpoint's step on, then stop
    rounded: bool = False  # a finish: the forward pass sees int8 and int4 weights in turn
    narrow: bool | None = None  # multiply in bfloat16; None: if that is faster here


def batch_rows(rows: Rows, seed: int, step: int, rank: int, workers: int, count: int) -> np.ndarray:
    """Indices of the rows of one worker at one step: each epoch is one seeded permutation of all rows."""
    per_step = workers * count
    first = step * per_step + rank * count
    positions = np.arange(first, first + count)
    epochs = positions // len(rows.tokens)
    picked = []
    for epoch in np.unique(epochs):
        order = np.random.default_rng([seed, int(epoch)]).permutation(len(rows.tokens))
        picked.append(order[positions[epochs == epoch] % len(rows.tokens)])
    return np.concatenate(picked)


def weighted_loss(model: Rwkv7, tokens: Tensor, weights: np.ndarray, rng: np.random.Generator):
    """Sum of weighted token losses of i64[B, T+1] with weights u8[B, T]; also (sum, count) over assistant tokens.

    The head is the widest matrix, so lightly weighted positions are sampled and their weight scaled up: it is unbiased.
    """
    hidden = model.hidden(tokens[:, :-1])
    flat = weights.reshape(-1)
    full = flat >= FULL_WEIGHT
    light = (flat > 0) & ~full & (rng.random(flat.size) < EMBEDDED_SAMPLE)
    picked = torch.from_numpy(np.nonzero(full | light)[0])
    scale = np.where(full, 1.0, 1.0 / EMBEDDED_SAMPLE) * flat / FULL_WEIGHT
    logits = model.head(hidden.reshape(-1, hidden.shape[-1])[picked]).float()
    losses = F.cross_entropy(logits, tokens[:, 1:].reshape(-1)[picked], reduction="none")
    is_full = torch.from_numpy(full)[picked]
    total = (losses * torch.from_numpy(scale.astype(np.float32))[picked]).sum()
    return total, losses.detach()[is_full].sum().item(), int(is_full.sum())


@torch.no_grad()
def held_out_loss(model: Rwkv7, rows: Rows, limit: int = 10_000, batch: int = 32) -> tuple[float, int]:
    """Mean loss of assistant tokens over the first `limit` rows, and how many tokens that was."""
    total, count = 0.0, 0
    for start in range(0, min(limit, len(rows.tokens)), batch):
        tokens = torch.from_numpy(rows.tokens[start : start + batch].astype(np.int64))
        wanted = torch.from_numpy(rows.weights[start : start + batch, 1:] >= FULL_WEIGHT)
        hidden = model.hidden(tokens[:, :-1])
        losses = F.cross_entropy(model.head(hidden[wanted]).float(), tokens[:, 1:][wanted], reduction="sum")
        total, count = total + losses.item(), count + int(wanted.sum())
    return total / max(1, count), count


@dataclass
class Shared:
    """Arrays in shared memory: parameters, a gradient per worker, optimizer state, control words, statistics."""

    flat: Tensor
    gradients: list[Tensor]
    momentum: Tensor
    variance: Tensor
    seen: Tensor  # the parameters as the forward pass sees them: rounded ones in a finish, else `flat` itself
    control: Tensor  # i64[2]: step, quit
    statistics: Tensor  # f64[workers, 3]: assistant loss sum, assistant tokens, squared gradient norm
    barrier: object


def _worker(rank: int, run: Run, shared: Shared, data_began: int, schedule: Schedule) -> None:
    try:
        _work(rank, run, shared, data_began, schedule)
    except BaseException:
        shared.barrier.abort()  # or the others would wait for this one for ever
        raise


def _work(rank: int, run: Run, shared: Shared, data_began: int, schedule: Schedule) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(run.seed)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    rows = load_rows(run.data, "train")
    model = Rwkv7(run.shape)
    slots = slots_of(model)
    # With rounding the model looks at a rounded copy; its gradient goes to the exact weights (straight through).
    bind(model, shared.seen, shared.gradients[rank])
    if run.compiled:
        model.compile_parts()
    mine = share_of(slots, rank, run.workers)
    tokens_per_step = run.rows_per_worker * run.workers * (rows.tokens.shape[1] - 1)
    while not shared.control[1]:
        step = int(shared.control[0])
        picked = batch_rows(rows, run.seed, step - data_began, rank, run.workers, run.rows_per_worker)
        tokens = torch.from_numpy(rows.tokens[picked].astype(np.int64))
        shared.gradients[rank].zero_()
        if run.rounded:
            round_into(shared.seen, shared.flat, mine, bits=(8, 4)[step % 2])
            shared.barrier.wait()  # every worker has rounded its share
        with torch.autocast("cpu", torch.bfloat16, enabled=run.narrow):
            rng = np.random.default_rng([run.seed, step, rank])
            loss, loss_sum, count = weighted_loss(model, tokens, rows.weights[picked, 1:], rng)
        (loss / tokens_per_step).backward()
        shared.statistics[rank, 0], shared.statistics[rank, 1] = loss_sum, count
        shared.barrier.wait()  # all gradients are complete
        squared = 0.0
        for slot in mine:
            total = shared.gradients[0][slot.span]
            for other in shared.gradients[1:]:
                total.add_(other[slot.span])
            squared += float(total.square().sum())
        shared.statistics[rank, 2] = squared
        shared.barrier.wait()  # the gradient norm is known
        clip = min(1.0, MAX_GRADIENT_NORM / (math.sqrt(float(shared.statistics[:, 2].sum())) + 1e-6))
        for slot in mine:
            update(slot, step, clip, schedule, shared.flat, shared.gradients[0], shared.momentum, shared.variance)
        shared.barrier.wait()  # all parameters are updated
        shared.barrier.wait()  # the parent has looked at them and set the control words


def _shared_arrays(model: Rwkv7, workers: int, rounded: bool, context) -> Shared:
    size = sum(parameter.numel() for parameter in model.parameters())
    flat, momentum, variance = (torch.zeros(size).share_memory_() for _ in range(3))
    for slot, parameter in zip(slots_of(model), model.parameters(), strict=True):
        flat[slot.span] = parameter.detach().flatten()
    gradients = [torch.zeros(size).share_memory_() for _ in range(workers)]
    seen = torch.zeros(size).share_memory_() if rounded else flat
    control = torch.zeros(2, dtype=torch.int64).share_memory_()
    statistics = torch.zeros(workers, 3, dtype=torch.float64).share_memory_()
    return Shared(flat, gradients, momentum, variance, seen, control, statistics, context.Barrier(workers + 1))


@dataclass
class Progress:
    """Where a run stands, beside its arrays; everything here goes into the checkpoint."""

    seed: int
    data_id: str  # of the data set that is being read
    data_began: int = 0  # the step at which it began to be read
    decay_from: int | None = None
    decay_steps: int = 0
    seconds: float = 0.0
    history: list[dict] = field(default_factory=list)


def data_id(data: Path) -> str:
    """What a data folder's summary hashes to."""
    return hashlib.sha256((data / "data.json").read_bytes()).hexdigest()[:16]


def _same_vocabulary(run: Run) -> None:
    """A run may go on with better data, but only in the tokens it has learnt; the first sitting stores them."""
    stored, offered = run.out / "vocab.txt", run.data / "vocab.txt"
    if not stored.exists():
        shutil.copyfile(offered, stored)
    elif stored.read_bytes() != offered.read_bytes():
        hint = f"Write the data anew with --vocabulary-file {stored}"
        raise UsageError(f"{run.data} has another vocabulary than the run in {run.out}", hint=hint)


def _write_checkpoint(path: Path, shared: Shared, slots, progress: Progress) -> None:
    weights = {slot.name: shared.flat[slot.span].view(slot.shape).clone() for slot in slots}
    arrays = {"weights": weights, "momentum": shared.momentum.clone(), "variance": shared.variance.clone()}
    unfinished = path.with_suffix(".tmp")
    torch.save({**arrays, "step": int(shared.control[0]), **asdict(progress)}, unfinished)
    unfinished.replace(path)


def _restore(path: Path, run: Run, shared: Shared, slots) -> Progress:
    """The arrays and the progress of a checkpoint, or those of a new run; other data begins at its first row."""
    offered = data_id(run.data)
    if not path.exists():
        return Progress(run.seed, offered)
    saved = torch.load(path, weights_only=True)
    for slot in slots:
        shared.flat[slot.span] = saved["weights"][slot.name].flatten()
    shared.momentum.copy_(saved["momentum"])
    shared.variance.copy_(saved["variance"])
    shared.control[0] = step = saved["step"]
    names = Progress.__dataclass_fields__
    progress = Progress(**{name: value for name, value in saved.items() if name in names})
    if progress.data_id != offered:
        progress.data_id, progress.data_began = offered, step
    if run.decay_steps and progress.decay_from is None:
        progress.decay_from, progress.decay_steps = step, run.decay_steps
    return progress


class _StopRequest:
    """Turns the first SIGINT or SIGTERM into a polite end: the step is finished and a checkpoint written."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame) -> None:
        self.asked = True


def bfloat16_is_faster(size: int = 512, repeats: int = 5) -> bool:
    """Whether this processor multiplies matrices faster in bfloat16: some emulate it, and then float32 wins by 1.7."""

    def seconds(kind: torch.dtype) -> float:
        left, right = torch.randn(4 * size, size).to(kind), torch.randn(size, size).to(kind)
        times = []
        for _ in range(repeats):
            began = time.process_time()
            left @ right
            times.append(time.process_time() - began)
        return min(times)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return seconds(torch.bfloat16) < seconds(torch.float32)
    finally:
        torch.set_num_threads(threads)


def train(run: Run) -> list[dict]:
    """Train, or go on, until `steps`, `minutes` or a signal; writes `checkpoint.pt`, `history.json`; returns the
    latter.

    Raises UsageError if the data's vocabulary is not the run's.
    """
    from tqdm import tqdm

    run.out.mkdir(parents=True, exist_ok=True)
    _same_vocabulary(run)
    if run.narrow is None:
        run = replace(run, narrow=bfloat16_is_faster())
    checkpoint_path = run.out / CHECKPOINT_FILE
    context = multiprocessing.get_context("spawn")
    torch.manual_seed(run.seed)
    model = Rwkv7(run.shape)
    slots = slots_of(model)
    shared = _shared_arrays(model, run.workers, run.rounded, context)
    progress = _restore(checkpoint_path, run, shared, slots)
    history, seconds_before = progress.history, progress.seconds
    tokens_before = history[-1]["tokens"] if history else 0
    schedule = Schedule(progress.decay_from, progress.decay_steps, peak=run.peak)
    step = first_step = int(shared.control[0])
    last_step = run.steps or None
    if progress.decay_from is not None:
        last_step = progress.decay_from + progress.decay_steps
    if last_step is not None and step >= last_step:
        return history
    bind(model, shared.flat, torch.zeros_like(shared.flat))
    held_out, rows = load_rows(run.data, "held_out"), load_rows(run.data, "train")
    tokens_per_step = run.rows_per_worker * run.workers * (rows.tokens.shape[1] - 1)
    (run.out / "run.json").write_text(json.dumps(asdict(run), default=str, indent=1))

    arguments = (run, shared, progress.data_began, schedule)
    workers = [context.Process(target=_worker, args=(rank, *arguments), daemon=True) for rank in range(run.workers)]
    stop = _StopRequest()
    for worker in workers:
        worker.start()
    started = last_saved = time.monotonic()
    recent: list[float] = []
    bar = tqdm(total=last_step, initial=step, unit="step", mininterval=30, maxinterval=120)
    done = False
    while not done:
        for _ in range(4 if run.rounded else 3):
            shared.barrier.wait()
        step += 1
        bar.update()
        now, statistics = time.monotonic(), shared.statistics
        recent = [*recent[1 - LOG_EVERY :], float(statistics[:, 0].sum() / statistics[:, 1].sum().clamp(min=1))]
        done = stop.asked or step == last_step or (run.minutes > 0 and now - started > 60 * run.minutes)
        progress.seconds = seconds_before + now - started
        shared.control[0], shared.control[1] = step, int(done)
        evaluates = done or step % run.evaluate_every == 0
        if evaluates or step % LOG_EVERY == 0:
            bar.set_postfix(loss=f"{np.mean(recent):.4f}", refresh=False)
            history.append(
                {
                    "step": step,
                    "tokens": tokens_before + (step - first_step) * tokens_per_step,
                    "seconds": round(progress.seconds, 1),
                    "loss": round(float(np.mean(recent)), 4),
                    "gradient_norm": round(math.sqrt(float(statistics[:, 2].sum())), 3),
                    "rate": round(schedule.scale(step), 4),
                }
            )
        if evaluates:
            torch.set_num_threads(run.workers)
            loss, _ = held_out_loss(model, held_out, limit=10_000 if step == last_step else 256)
            torch.set_num_threads(1)
            history[-1]["held_out_loss"] = round(loss, 4)
            bar.write(json.dumps(history[-1]))
        if done or now - last_saved > 60 * run.checkpoint_minutes:
            _write_checkpoint(checkpoint_path, shared, slots, progress)
            (run.out / "history.json").write_text(json.dumps(history, indent=1))
            last_saved = now
        shared.barrier.wait()
    for worker in workers:
        worker.join()
    bar.close()
    seconds = progress.seconds - seconds_before
    print(
        f"{step - first_step} steps in {seconds:.0f} s, {(step - first_step) * tokens_per_step / seconds:.0f} tokens/s"
    )
    return history


def finish(stable: Path, run: Run) -> list[dict]:
    """Branch a decayed model off the stable run in `stable` into `run.out`, or go on with that; `stable` stays."""
    if not run.decay_steps:
        raise UsageError("a finish needs a number of steps to decay over")
    run.out.mkdir(parents=True, exist_ok=True)
    if not (run.out / CHECKPOINT_FILE).exists():
        for name in (CHECKPOINT_FILE, "vocab.txt"):
            shutil.copyfile(stable / name, run.out / name)
    return train(run)
