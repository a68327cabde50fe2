"""The WKV recurrence for training: a C kernel compiled once into a cache folder, and a pure torch form as fallback.

Every input is float32 [B, T, H, 64]: receptance r, decay multiplier d in (0, 1), key k, value v, removal pair a, b.
"""

import ctypes
import functools
import hashlib
import subprocess
import warnings
from pathlib import Path

import torch
from torch import Tensor

from assistant import paths

HEAD_SIZE = 64
STEPS_PER_SAVED_STATE = 16
KERNEL_SOURCE = Path(__file__).with_name("wkv7.c")
# The parts of -ffast-math that matter here. The whole of it, given to the linker, would make every process that loads
# the kernel flush subnormal numbers to zero, in all its code.
FAST_MATH = ["-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-fno-math-errno", "-ffinite-math-only"]
COMPILER_FLAGS = ["-O3", "-march=native", *FAST_MATH, "-shared", "-fPIC"]


@functools.cache
def load_kernel() -> ctypes.CDLL | None:
    """The compiled kernel, or None (with a warning) where no C compiler works; keyed by its source."""
    digest = hashlib.sha256(KERNEL_SOURCE.read_bytes() + " ".join(COMPILER_FLAGS).encode()).hexdigest()[:16]
    library = paths.ensure_private_dir(paths.cache_dir() / "kernels") / f"wkv7-{digest}.so"
    if not library.exists():
        unfinished = library.with_suffix(f".{id(library)}.tmp")
        try:
            command = ["gcc", *COMPILER_FLAGS, str(KERNEL_SOURCE), "-o", str(unfinished)]
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            warnings.warn(f"no C kernel, training will be about 4 times slower: {error}", stacklevel=2)
            return None
        unfinished.replace(library)
    return ctypes.CDLL(str(library))


def _pointer(tensor: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(tensor.data_ptr())


class KernelWkv(torch.autograd.Function):
    """The recurrence through the C kernel; T must be a multiple of 16."""

    @staticmethod
    def forward(ctx, *inputs: Tensor) -> Tensor:
        inputs = tuple(x.float().contiguous() for x in inputs)
        r = inputs[0]
        B, T, H, N = r.shape
        if N != HEAD_SIZE or T % STEPS_PER_SAVED_STATE:
            raise ValueError(f"the kernel needs head size 64 and T % 16 == 0, got N={N}, T={T}")
        y, sa = torch.empty_like(r), torch.empty_like(r)
        saved = torch.empty(B, H, T // STEPS_PER_SAVED_STATE, N, N)
        load_kernel().wkv7_forward(B, T, H, *map(_pointer, (*inputs, y, sa, saved)))
        ctx.save_for_backward(*inputs, sa, saved)
        return y

    @staticmethod
    def backward(ctx, dy: Tensor) -> tuple[Tensor, ...]:
        *inputs, sa, saved = ctx.saved_tensors
        B, T, H, _ = inputs[0].shape
        gradients = [torch.empty_like(inputs[0]) for _ in range(6)]
        arrays = (*inputs, sa, saved, dy.float().contiguous(), *gradients)
        load_kernel().wkv7_backward(B, T, H, *map(_pointer, arrays))
        return tuple(gradients)


def sequential_wkv(r: Tensor, d: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The definition, one step at a time: slow, differentiable, any dtype; what the other forms are tested against."""
    B, T, H, N = r.shape
    state = r.new_zeros(B, H, N, N)
    outputs = []
    for t in range(T):
        removed = state @ a[:, t].unsqueeze(-1)
        state = state * d[:, t].unsqueeze(-2) + removed @ b[:, t].unsqueeze(-2)
        state = state + v[:, t].unsqueeze(-1) @ k[:, t].unsqueeze(-2)
        outputs.append((state @ r[:, t].unsqueeze(-1)).squeeze(-1))
    return torch.stack(outputs, 1)


def chunked_wkv(r: Tensor, d: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, chunk: int = 16) -> Tensor:
    """The same in chunks of matrix products (about 8 times faster than sequential); T must be a multiple of `chunk`."""
    B, T, H, N = r.shape
    chunks = T // chunk

    def split(x: Tensor) -> Tensor:  # [B, T, H, N] -> [chunks, B*H, chunk, N]
        return x.view(B, chunks, chunk, H, N).permute(1, 0, 3, 2, 4).reshape(chunks, B * H, chunk, N)

    r, d, k, v, a, b = map(split, (r, d, k, v, a, b))
    decayed = d.log().cumsum(2).exp()  # product of decays from the start of the chunk, this step included
    decayed_before = torch.cat([torch.ones_like(decayed[:, :, :1]), decayed[:, :, :-1]], 2)
    a_scaled, r_scaled = a * decayed_before, r * decayed
    b_scaled, k_scaled = b / decayed, k / decayed
    strictly_past = torch.ones(chunk, chunk, dtype=torch.bool).tril(-1)
    past = torch.ones(chunk, chunk, dtype=torch.bool).tril(0)
    a_b = (a_scaled @ b_scaled.mT) * strictly_past
    a_k = (a_scaled @ k_scaled.mT) * strictly_past
    r_b, r_k = (r_scaled @ b_scaled.mT) * past, (r_scaled @ k_scaled.mT) * past

    # (I - A)^-1 of a strictly lower triangular A is a finite product: (I + A)(I + A^2)(I + A^4)...
    inverse, power, reached = torch.eye(chunk, dtype=r.dtype) + a_b, a_b, 1
    while 2 * reached < chunk:
        power = power @ power
        inverse = inverse + inverse @ power
        reached *= 2
    from_state, from_values = inverse @ a_scaled, inverse @ (a_k @ v)

    state = r.new_zeros(B * H, N, N)  # [keys, values]
    outputs = []
    for c in range(chunks):
        removed = from_state[c] @ state + from_values[c]
        outputs.append(r_scaled[c] @ state + r_b[c] @ removed + r_k[c] @ v[c])
        added = b_scaled[c].mT @ removed + k_scaled[c].mT @ v[c]
        state = decayed[c, :, -1].unsqueeze(-1) * (state + added)
    y = torch.stack(outputs).view(chunks, B, H, chunk, N)
    return y.permute(1, 0, 3, 2, 4).reshape(B, T, H, N)


def wkv(r: Tensor, d: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The fastest form that works here."""
    if load_kernel() is not None:
        return KernelWkv.apply(r, d, k, v, a, b)
    return chunked_wkv(*(x.float() for x in (r, d, k, v, a, b)))
