"""Records aihwkit_1_2_0_tile.npz: what IBM's aihwkit computes for one analog tile. Run by hand, once per version:

    PYTHONPATH=<unpacked aihwkit 1.2.0>/src python record_aihwkit_tile.py

Needs torch. aihwkit's C++ extension is not needed: `AnalogMVM`, its torch implementation of the same equations, does
not use it, so the import of the extension is answered by an empty stand-in.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np


class _Empty(types.ModuleType):
    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        inner = _Empty(f"{self.__name__}.{name}")
        setattr(self, name, inner)
        return inner

    def __call__(self, *_args, **_options):
        return _Empty("value")

    def __mro_entries__(self, _bases):
        return (object,)


def main() -> None:
    sys.modules["aihwkit.simulator.rpu_base"] = _Empty("aihwkit.simulator.rpu_base")
    import torch
    from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType
    from aihwkit.simulator.parameters.io import IOParameters
    from aihwkit.simulator.tiles.analog_mvm import AnalogMVM

    rng = np.random.default_rng(7)
    codes = np.clip(np.rint(rng.normal(0, 40, (48, 192))), -127, 127).astype(np.int8)
    x = rng.standard_normal((12, 192)).astype(np.float32)
    inputs = np.rint(x / np.abs(x).max(axis=1, keepdims=True) * 127)
    limit = 0.8 * np.abs(inputs @ codes.T.astype(np.float64)).max()  # so that some outputs clip
    bound, weights = float(limit / 127**2), torch.tensor(codes.astype(np.float64) / 127)

    def run(out_noise: float, bits: int) -> np.ndarray:
        settings = IOParameters(
            inp_bound=1.0, inp_res=1 / 254, inp_noise=0.0, inp_sto_round=False,
            out_bound=bound, out_res=1 / (2.0 * (2 ** (bits - 1) - 1)), out_noise=out_noise, out_sto_round=False,
            w_noise=0.0, noise_management=NoiseManagementType.ABS_MAX, bound_management=BoundManagementType.NONE,
        )  # fmt: skip
        return AnalogMVM.matmul(weights, torch.tensor(x.astype(np.float64)), settings).numpy()

    torch.manual_seed(0)
    reads = np.stack([run(0.05 * bound, 16) for _ in range(400)])
    np.savez_compressed(
        Path(__file__).parent / "aihwkit_1_2_0_tile.npz", codes=codes, x=x, adc_range=limit,
        result8=run(0.0, 8).astype(np.float32), result6=run(0.0, 6).astype(np.float32),
        noise_sigma=0.05 * limit, noise_std=reads.std(axis=0).astype(np.float32),
        noise_mean=reads.mean(axis=0).astype(np.float32),
    )  # fmt: skip


if __name__ == "__main__":
    main()
