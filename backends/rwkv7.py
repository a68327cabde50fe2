"""The one definition of RWKV-7 "x070", in NumPy, over `matmul(name, x)` so that any device can supply the products.

Source: RWKV_x070 in `rwkv/model.py` of the `rwkv` package 0.8.32 (BlinkDL) and the RWKV-7 "Goose" paper,
arXiv 2503.14456. Glossary (names in the checkpoint -> names in the paper):

    B sequences, T tokens, D width, H heads of size N (H * N = D), L layers, V vocabulary, F channel-mix rows
    x          residual stream                      [B, T, D]
    xx         token shift: previous input - input  [B, T, D]
    r          receptance, the query of the memory  [B, T, H, N]
    w          decay, in (exp(-exp(-0.5)), 1)       [B, T, H, N]   LoRA pair w1, w2, bias w0
    k, v       key, value                           [B, T, H, N]
    a          in-context learning rate (iclr)      [B, T, H, N]   LoRA pair a1, a2, bias a0
    g          gate                                 [B, T, D]      LoRA pair g1, g2
    kk         removal key, k * k_k normalised to length 1 per head
    k_a        how much a replaces k
    r_k        bonus: weight of the current token's own v [H, N]
    v_first    layer 0's v; later layers mix it in by the value-residual LoRA v1, v2, bias v0
    S          wkv memory, rows = key, columns = value (the paper's, transposed) [B, H, N, N]:
               S <- diag(w) S - (kk * a)(kk^T S) + k v^T ;  y = r^T S
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from backends.base import State

DECAY_SCALE = np.float32(-0.606531)  # -exp(-0.5), rounded as in rwkv/model.py
LAYER_NORM_EPS = np.float32(1e-5)  # torch.nn.functional.layer_norm's default
HEAD_NORM_EPS = np.float32(64e-5)  # group norm ln_x: 1e-5 * head_size_divisor 8^2
L2_FLOOR = np.float32(1e-12)  # torch.nn.functional.normalize's default eps

Matmul = Callable[[str, np.ndarray], np.ndarray]
"""matmul(name, x f32[..., in]) -> f32[..., out]: the product with the stored matrix [out, in]."""


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) without overflow."""
    return np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * x))


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: np.float32 = LAYER_NORM_EPS) -> np.ndarray:
    """Normalise over the last axis (biased variance), then scale and shift."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps) * weight + bias


def token_shift(x: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """x f32[B, T, D], previous f32[B, D] (the input before this chunk) -> previous input minus input."""
    return np.concatenate([previous[:, None], x[:, :-1]], axis=1) - x


def wkv(S, r, w, k, v, kk, a) -> np.ndarray:
    """The recurrence over T tokens. S f32[B, H, N, N] is updated in place; the rest f32[B, T, H, N] -> y likewise."""
    y = np.empty_like(r)
    for t in range(r.shape[1]):
        removed = -kk[:, t, :, None, :] @ S  # what memory holds under the removal key [B, H, 1, N]
        S *= w[:, t, :, :, None]
        S += (kk[:, t] * a[:, t])[:, :, :, None] * removed
        S += k[:, t, :, :, None] * v[:, t, :, None, :]
        y[:, t] = (r[:, t, :, None, :] @ S)[:, :, 0]
    return y


def time_mix(i: int, x, shift, S, v_first, params: Mapping[str, np.ndarray], matmul: Matmul):
    """One time-mix block. x f32[B, T, D] (after ln1); shift f32[B, D] and S are the layer's memory (S in place).

    Returns (output f32[B, T, D], v_first f32[B, T, D]).
    """
    p = f"blocks.{i}.att."
    r_k = params[p + "r_k"]
    H, N = r_k.shape
    B, T, D = x.shape
    heads = lambda z: z.reshape(B, T, H, N)  # noqa: E731

    xx = token_shift(x, shift)
    xr, xw, xk, xv, xa, xg = (x + xx * params[p + f"x_{c}"] for c in "rwkvag")

    r = matmul(p + "receptance.weight", xr)
    k = matmul(p + "key.weight", xk)
    v = matmul(p + "value.weight", xv)
    w = np.exp(DECAY_SCALE * sigmoid(params[p + "w0"] + matmul(p + "w2", np.tanh(matmul(p + "w1", xw)))))
    a = sigmoid(params[p + "a0"] + matmul(p + "a2", matmul(p + "a1", xa)))
    g = matmul(p + "g2", sigmoid(matmul(p + "g1", xg)))
    if i == 0:
        v_first = v
    else:
        v = v + (v_first - v) * sigmoid(params[p + "v0"] + matmul(p + "v2", matmul(p + "v1", xv)))

    kk = heads(k * params[p + "k_k"])
    kk = kk / np.maximum(np.sqrt((kk * kk).sum(axis=-1, keepdims=True)), L2_FLOOR)
    k = k * (1 + (a - 1) * params[p + "k_a"])
    r, w, k, a, v_heads = heads(r), heads(w), heads(k), heads(a), heads(v)

    y = wkv(S, r, w, k, v_heads, kk, a)
    y = layer_norm(y, params[p + "ln_x.weight"].reshape(H, N), params[p + "ln_x.bias"].reshape(H, N), HEAD_NORM_EPS)
    y = y + (r * k * r_k).sum(axis=-1, keepdims=True) * v_heads
    return matmul(p + "output.weight", y.reshape(B, T, D) * g), v_first


def channel_mix(i: int, x, shift, params: Mapping[str, np.ndarray], matmul: Matmul) -> np.ndarray:
    """One channel-mix block: squared ReLU between two matrices. x f32[B, T, D] (after ln2), shift f32[B, D]."""
    p = f"blocks.{i}.ffn."
    hidden = np.maximum(matmul(p + "key.weight", x + token_shift(x, shift) * params[p + "x_k"]), 0)
    return matmul(p + "value.weight", hidden * hidden)


def forward(
    embedded: np.ndarray, states: Sequence[State], params: Mapping[str, np.ndarray], matmul: Matmul
) -> np.ndarray:
    """Run all layers. embedded f32[B, T, D] (rows of emb.weight); states of the B sequences are updated in place.

    `params` gives vectors and `r_k` as float32. Returns the logits of each sequence's last token, f32[B, V].
    """
    x = layer_norm(embedded, params["blocks.0.ln0.weight"], params["blocks.0.ln0.bias"])
    v_first = None
    for i in range(states[0].config.layers):
        b = f"blocks.{i}."
        normed = layer_norm(x, params[b + "ln1.weight"], params[b + "ln1.bias"])
        S = np.stack([s.wkv[i] for s in states])
        shift = np.stack([s.shift_tmix[i] for s in states])
        out, v_first = time_mix(i, normed, shift, S, v_first, params, matmul)
        x = x + out
        for s, memory, last in zip(states, S, normed[:, -1], strict=True):
            s.wkv[i], s.shift_tmix[i] = memory, last

        normed = layer_norm(x, params[b + "ln2.weight"], params[b + "ln2.bias"])
        shift = np.stack([s.shift_cmix[i] for s in states])
        x = x + channel_mix(i, normed, shift, params, matmul)
        for s, last in zip(states, normed[:, -1], strict=True):
            s.shift_cmix[i] = last
    return matmul("head.weight", layer_norm(x[:, -1], params["ln_out.weight"], params["ln_out.bias"]))
