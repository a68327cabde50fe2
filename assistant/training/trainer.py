"""Data-parallel training on CPU: one-thread worker processes share flat parameters and split the optimizer's work.

A step: every worker fills its gradient, a barrier, each worker sums and updates its share of the parameters, a barrier.
Batches depend only on (seed, step, rank), so a run that resumes from a checkpoint is the run that never stopped.
"""

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F
from torch import Tensor

from assistant.training.documents import Rows, load_rows
from assistant.training.model import Rwkv7, Shape
from assistant.training.optimizer import MAX_GRADIENT_NORM, Schedule, bind, share_of, slots_of, update

FULL_WEIGHT = 10  # of an assistant token; a row's weights are tenths
WARM_STEP, FIRST_PLAN_STEP = 20, 60  # the speed is measured between these, then anew after half of what is left
PLAN_EVERY_AT_LEAST = 40
EVALUATION_SECONDS = 20
EMBEDDED_SAMPLE = 0.25  # share of the lightly weighted positions whose loss is computed (then counted 4 times)


@dataclass(frozen=True)
class Run:
    """Everything that defines a training run."""

    data: Path
    out: Path
    shape: Shape = field(default_factory=Shape)
    steps: int = 0
    minutes: float = 0.0  # used when steps is 0: the step count is measured after the warm-up
    rows_per_worker: int = 8
    workers: int = 2
    seed: int = 0
    compiled: bool = True
    checkpoint_minutes: float = 4.0
    evaluate_every: int = 200


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
    full = flat == FULL_WEIGHT
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
        wanted = torch.from_numpy(rows.weights[start : start + batch, 1:] == FULL_WEIGHT)
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
    control: Tensor  # i64[3]: step, planned steps, quit
    statistics: Tensor  # f64[workers, 3]: assistant loss sum, assistant tokens, squared gradient norm
    barrier: object


def _worker(rank: int, run: Run, shared: Shared) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(run.seed)
    rows = load_rows(run.data, "train")
    model = Rwkv7(run.shape)
    slots = slots_of(model)
    bind(model, shared.flat, shared.gradients[rank])
    if run.compiled:
        model.compile_parts()
    mine = share_of(slots, rank, run.workers)
    tokens_per_step = run.rows_per_worker * run.workers * (rows.tokens.shape[1] - 1)
    while not shared.control[2]:
        step = int(shared.control[0])
        schedule = Schedule(steps=int(shared.control[1]))
        picked = batch_rows(rows, run.seed, step, rank, run.workers, run.rows_per_worker)
        tokens = torch.from_numpy(rows.tokens[picked].astype(np.int64))
        shared.gradients[rank].zero_()
        with torch.autocast("cpu", torch.bfloat16):
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


def _shared_arrays(model: Rwkv7, workers: int, context) -> Shared:
    size = sum(parameter.numel() for parameter in model.parameters())
    flat, momentum, variance = (torch.zeros(size).share_memory_() for _ in range(3))
    for slot, parameter in zip(slots_of(model), model.parameters(), strict=True):
        flat[slot.span] = parameter.detach().flatten()
    gradients = [torch.zeros(size).share_memory_() for _ in range(workers)]
    control = torch.zeros(3, dtype=torch.int64).share_memory_()
    statistics = torch.zeros(workers, 3, dtype=torch.float64).share_memory_()
    return Shared(flat, gradients, momentum, variance, control, statistics, context.Barrier(workers + 1))


def _write_checkpoint(path: Path, run: Run, shared: Shared, slots, history: list, seconds: float) -> None:
    weights = {slot.name: shared.flat[slot.span].view(slot.shape).clone() for slot in slots}
    checkpoint = {
        "weights": weights,
        "momentum": shared.momentum.clone(),
        "variance": shared.variance.clone(),
        "step": int(shared.control[0]),
        "planned_steps": int(shared.control[1]),
        "history": history,
        "seconds": seconds,
        "seed": run.seed,
    }
    unfinished = path.with_suffix(".tmp")
    torch.save(checkpoint, unfinished)
    unfinished.replace(path)


def train(run: Run) -> list[dict]:
    """Train (or resume) to the end of the schedule; writes `checkpoint.pt` and `history.json`; returns the history."""
    from tqdm import tqdm

    run.out.mkdir(parents=True, exist_ok=True)
    checkpoint_path = run.out / "checkpoint.pt"
    context = multiprocessing.get_context("spawn")
    torch.manual_seed(run.seed)
    model = Rwkv7(run.shape)
    slots = slots_of(model)
    shared = _shared_arrays(model, run.workers, context)
    history: list[dict] = []
    step, planned, seconds_before = 0, run.steps or 100_000, 0.0
    if checkpoint_path.exists():
        saved = torch.load(checkpoint_path)
        for slot in slots:
            shared.flat[slot.span] = saved["weights"][slot.name].flatten()
        shared.momentum.copy_(saved["momentum"])
        shared.variance.copy_(saved["variance"])
        step, history, seconds_before = saved["step"], saved["history"], saved["seconds"]
        planned = run.steps or saved["planned_steps"]
    shared.control[0], shared.control[1] = step, planned
    bind(model, shared.flat, torch.zeros_like(shared.flat))
    held_out = load_rows(run.data, "held_out")
    rows = load_rows(run.data, "train")
    tokens_per_step = run.rows_per_worker * run.workers * (rows.tokens.shape[1] - 1)
    (run.out / "run.json").write_text(json.dumps(asdict(run), default=str, indent=1))

    workers = [context.Process(target=_worker, args=(rank, run, shared)) for rank in range(run.workers)]
    for worker in workers:
        worker.start()
    started = last_saved = planned_when = time.monotonic()
    first_step = planned_at = step
    recent: list[float] = []
    plan_next_at = first_step + FIRST_PLAN_STEP
    bar = tqdm(total=planned, initial=step, unit="step", mininterval=10, maxinterval=60)
    while step < planned:
        for _ in range(3):
            shared.barrier.wait()
        step += 1
        bar.update()
        statistics = shared.statistics
        recent = [*recent[-19:], float(statistics[:, 0].sum() / statistics[:, 1].sum().clamp(min=1))]
        if step == first_step + WARM_STEP:
            planned_at, planned_when = step, time.monotonic()  # compilation is over
        if not run.steps and step == plan_next_at:
            now = time.monotonic()
            seconds_per_step = (now - planned_when) / (step - planned_at)
            left = run.minutes * 60 - (now - started) - EVALUATION_SECONDS
            planned = step + max(1, int(left / seconds_per_step))
            planned_at, planned_when, plan_next_at = step, now, step + max(PLAN_EVERY_AT_LEAST, (planned - step) // 2)
            bar.total = planned
            bar.write(f"{seconds_per_step:.3f} s/step: {planned} steps planned for {run.minutes} minutes")
        done = step >= planned
        seconds = seconds_before + time.monotonic() - started
        shared.control[0], shared.control[1], shared.control[2] = step, planned, int(done)
        if step % 20 == 0 or done:
            bar.set_postfix(loss=f"{np.mean(recent):.4f}", refresh=False)
            history.append(
                {
                    "step": step,
                    "tokens": step * tokens_per_step,
                    "seconds": round(seconds, 1),
                    "loss": round(float(np.mean(recent)), 4),
                    "gradient_norm": round(math.sqrt(float(statistics[:, 2].sum())), 3),
                }
            )
        if step % run.evaluate_every == 0 or done:
            torch.set_num_threads(run.workers)
            loss, _ = held_out_loss(model, held_out, limit=10_000 if done else 256)
            torch.set_num_threads(1)
            history[-1]["held_out_loss"] = round(loss, 4)
            bar.write(json.dumps(history[-1]))
        if done or time.monotonic() - last_saved > 60 * run.checkpoint_minutes:
            _write_checkpoint(checkpoint_path, run, shared, slots, history, seconds)
            (run.out / "history.json").write_text(json.dumps(history, indent=1))
            last_saved = time.monotonic()
        shared.barrier.wait()
    for worker in workers:
        worker.join()
    bar.close()
    return history
