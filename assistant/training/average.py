"""The mean of several finished models that branched off one run, which answers more prompts than any of them.

Source: Wortsman et al. 2022, "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time", https://arxiv.org/abs/2203.05482; measured here in docs/decisions/025.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from assistant.errors import UsageError
from assistant.training.trainer import CHECKPOINT_FILE


def average(runs: Sequence[Path], out: Path, shares: Sequence[float] = ()) -> None:
    """Write to the new folder `out` what `export` reads: the mean weights, with the numbers of the last of `runs`.

    `shares` weigh the runs and default to equal ones. Means are taken in float32. The checkpoint is to be exported, not
    trained on. Raises UsageError where the runs do not fit each other.
    """
    shares = list(shares) or [1.0] * len(runs)
    if len(runs) < 2 or len(shares) != len(runs) or min(shares) <= 0:
        raise UsageError(
            f"A mean needs two runs or more and a positive share for each; got {len(runs)} and the shares {shares}."
        )
    vocabulary = (runs[-1] / "vocab.txt").read_bytes()
    saved = [torch.load(run / CHECKPOINT_FILE, map_location="cpu", weights_only=True) for run in runs]
    last = saved[-1]
    shapes = {name: tensor.shape for name, tensor in last["weights"].items()}
    for run, one in zip(runs, saved, strict=True):
        found = {name: tensor.shape for name, tensor in one["weights"].items()}
        if (run / "vocab.txt").read_bytes() != vocabulary or found != shapes:
            raise UsageError(
                f"{run} and {runs[-1]} have other vocabularies or shapes, so their mean means nothing.",
                hint="Only branches (`finish`) of one run can be averaged.",
            )
    total = sum(shares)
    for name, tensor in last["weights"].items():
        mean = sum(share * one["weights"][name].float() for share, one in zip(shares, saved, strict=True)) / total
        last["weights"][name] = mean.to(tensor.dtype)
    last["mean_of"] = [
        {"steps": one["step"], "decay_steps": one["step"] - (one["decay_from"] or one["step"]), "share": share / total}
        for one, share in zip(saved, shares, strict=True)
    ]
    out.mkdir(parents=True)
    shutil.copyfile(runs[-1] / "vocab.txt", out / "vocab.txt")
    torch.save(last, out / CHECKPOINT_FILE)
