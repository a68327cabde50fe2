"""RWKV-7 "x070" for CPU training, with BlinkDL's tensor names, so that a checkpoint is the model's own state dict.

Shapes: B batch, T steps, D width, H heads of 64, V vocabulary. The mathematics is that of the `rwkv` package's x070;
initial values follow BlinkDL's RWKV-LM training code (Apache-2.0).
"""

import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from assistant.training.wkv import HEAD_SIZE, wkv

GROUP_NORM_EPS = 64e-5
MIXES = {"x_r": 0.2, "x_w": 0.9, "x_k": 0.7, "x_v": 0.7, "x_a": 0.9, "x_g": 0.2}  # token-shift mixes: initial slopes


@dataclass(frozen=True)
class Shape:
    """The sizes that define a model; LoRA ranks in the order decay w, in-context rate a, value v, gate g."""

    vocabulary: int = 4096
    width: int = 192
    layers: int = 6
    lora_ranks: tuple[int, int, int, int] = (32, 32, 32, 64)

    @property
    def heads(self) -> int:
        return self.width // HEAD_SIZE


def token_shift(x: Tensor) -> Tensor:
    """Difference between the previous step's input and this one's, [B, T, D]; before the first step stands zero."""
    return F.pad(x, (0, 0, 1, -1)) - x


def _orthogonal(rows: int, columns: int, scale: float) -> Tensor:
    gain = math.sqrt(rows / columns) if rows > columns else 1.0
    return nn.init.orthogonal_(torch.zeros(rows, columns), gain=gain * scale)


class TimeMix(nn.Module):
    """The attention-like half of a block."""

    def __init__(self, shape: Shape, layer: int):
        super().__init__()
        D, H = shape.width, shape.heads
        self.layer = layer
        depth = layer / max(shape.layers - 1, 1)  # 0 at the first layer, 1 at the last
        remaining = 1 - layer / shape.layers
        channel = torch.arange(D).float()
        for name, slope in MIXES.items():
            mix = 1.0 - (channel / D).pow(slope * remaining)
            setattr(self, name, nn.Parameter(mix.view(1, 1, D)))

        def row(values: Tensor) -> nn.Parameter:
            return nn.Parameter(values.view(1, 1, D).clone())

        within_head = (channel % HEAD_SIZE - 31.5) / 31.5
        zigzag = within_head * within_head.abs()
        linear = channel / (D - 1) - 0.5
        decay = -6 + 6 * (channel / (D - 1)) ** (1 + depth**0.3)
        rank_w, rank_a, rank_v, rank_g = shape.lora_ranks

        def low_rank(rank: int) -> tuple[nn.Parameter, nn.Parameter]:
            return nn.Parameter(torch.zeros(D, rank)), nn.Parameter(_orthogonal(rank, D, 0.1))

        self.w1, self.w2 = low_rank(rank_w)
        self.w0 = row(decay + 0.5 + zigzag * 2.5)
        self.a1, self.a2 = low_rank(rank_a)
        self.a0 = row(-0.19 + zigzag * 0.3 + linear * 0.4)
        if layer > 0:
            self.v1, self.v2 = low_rank(rank_v)
            self.v0 = row(0.73 - linear * 0.4)
        self.g1, self.g2 = low_rank(rank_g)
        self.k_k = row(0.71 - linear * 0.1)
        self.k_a = row(torch.full((D,), 1.02))
        self.r_k = nn.Parameter(torch.full((H, HEAD_SIZE), -0.04))
        self.receptance, self.key = nn.Linear(D, D, bias=False), nn.Linear(D, D, bias=False)
        self.value, self.output = nn.Linear(D, D, bias=False), nn.Linear(D, D, bias=False)
        self.ln_x = nn.GroupNorm(H, D, eps=GROUP_NORM_EPS)
        bound = 0.5 / D**0.5
        self.receptance.weight.data.uniform_(-bound, bound)
        self.key.weight.data.uniform_(-0.1 * bound, 0.1 * bound)
        self.value.weight.data.uniform_(-bound, bound)
        self.output.weight.data.zero_()
        self.ln_x.weight.data.fill_(((1 + layer) / shape.layers) ** 0.7)

    def before_wkv(self, x: Tensor, v_first: Tensor | None):
        """x [B, T, D] -> the six inputs of the recurrence [B, T, H, 64] float32, gate [B, T, D], v_first [B, T, D]."""
        B, T, _ = x.shape
        mixes = torch.stack([self.x_r, self.x_w, self.x_k, self.x_v, self.x_a, self.x_g])
        x_r, x_w, x_k, x_v, x_a, x_g = torch.unbind(x.unsqueeze(0) + token_shift(x).unsqueeze(0) * mixes)
        receptance, key, value = self.receptance(x_r), self.key(x_k), self.value(x_v)
        w = self.w0 + torch.tanh(x_w @ self.w1) @ self.w2
        decay = torch.exp(-0.606531 * torch.sigmoid(w.float()))  # 0.606531 = exp(-0.5)
        iclr = torch.sigmoid(self.a0 + (x_a @ self.a1) @ self.a2)
        gate = torch.sigmoid(x_g @ self.g1) @ self.g2
        if self.layer == 0:
            v_first = value
        else:
            value = value + (v_first - value) * torch.sigmoid(self.v0 + (x_v @ self.v1) @ self.v2)

        def heads(z: Tensor) -> Tensor:
            return z.view(B, T, -1, HEAD_SIZE).float()

        removal_key = F.normalize(heads(key * self.k_k), dim=-1)
        key = key * (1 + (iclr - 1) * self.k_a)
        inputs = heads(receptance), heads(decay), heads(key), heads(value), -removal_key, removal_key * heads(iclr)
        return inputs, gate, v_first

    def after_wkv(self, y: Tensor, r: Tensor, k: Tensor, v: Tensor, gate: Tensor) -> Tensor:
        """y, r, k, v [B, T, H, 64] -> [B, T, D]: group norm per head, bonus, gate, output projection."""
        B, T, H, N = y.shape
        centred = y - y.mean(-1, keepdim=True)
        normed = centred * torch.rsqrt((centred * centred).mean(-1, keepdim=True) + GROUP_NORM_EPS)
        normed = normed * self.ln_x.weight.view(H, N) + self.ln_x.bias.view(H, N)
        out = normed + (r * k * self.r_k).sum(-1, keepdim=True) * v
        return self.output(out.view(B, T, H * N).to(gate.dtype) * gate)

    def forward(self, x: Tensor, v_first: Tensor | None) -> tuple[Tensor, Tensor]:
        inputs, gate, v_first = self.before_wkv(x, v_first)
        r, _, k, v, _, _ = inputs
        return self.after_wkv(wkv(*inputs), r, k, v, gate), v_first


class ChannelMix(nn.Module):
    """The feed-forward half of a block."""

    def __init__(self, shape: Shape, layer: int):
        super().__init__()
        D = shape.width
        mix = 1.0 - (torch.arange(D).float() / D).pow((1 - layer / shape.layers) ** 4)
        self.x_k = nn.Parameter(mix.view(1, 1, D))
        self.key, self.value = nn.Linear(D, 4 * D, bias=False), nn.Linear(4 * D, D, bias=False)
        self.key.weight.data.uniform_(-0.5 / D**0.5, 0.5 / D**0.5)
        self.value.weight.data.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.value(torch.relu(self.key(x + token_shift(x) * self.x_k)).square())


class Block(nn.Module):
    """One layer: time-mix, then channel-mix, each behind a layer norm."""

    def __init__(self, shape: Shape, layer: int):
        super().__init__()
        if layer == 0:
            self.ln0 = nn.LayerNorm(shape.width)
        self.ln1, self.ln2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.att, self.ffn = TimeMix(shape, layer), ChannelMix(shape, layer)


class Rwkv7(nn.Module):
    """The whole model; `hidden` stops before the head so that a loss can pick positions first."""

    def __init__(self, shape: Shape):
        super().__init__()
        if shape.width % HEAD_SIZE:
            raise ValueError(f"width {shape.width} is not a multiple of the head size {HEAD_SIZE}")
        self.shape = shape
        V, D = shape.vocabulary, shape.width
        self.emb = nn.Embedding(V, D)
        self.blocks = nn.ModuleList([Block(shape, layer) for layer in range(shape.layers)])
        self.ln_out = nn.LayerNorm(D)
        self.head = nn.Linear(D, V, bias=False)
        self.emb.weight.data.uniform_(-1e-4, 1e-4)
        nn.init.orthogonal_(self.head.weight, gain=0.5 * (math.sqrt(V / D) if V > D else 1))

    def hidden(self, tokens: Tensor) -> Tensor:
        """tokens i64[B, T] (T a multiple of 16) -> [B, T, D]."""
        x, v_first = self.blocks[0].ln0(self.emb(tokens)), None
        for block in self.blocks:
            mixed, v_first = block.att(block.ln1(x), v_first)
            x = x + mixed
            x = x + block.ffn(block.ln2(x))
        return self.ln_out(x)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens i64[B, T] -> logits [B, T, V]."""
        return self.head(self.hidden(tokens))

    def compile_parts(self) -> None:
        """Fuse what lies around the recurrence; the recurrence itself is opaque to the compiler."""
        import torch._functorch.config

        # Read back from its cache, a graph that returns views fails (torch 2.13: "shape ... is invalid for input").
        torch._functorch.config.enable_autograd_cache = False
        for block in self.blocks:
            block.att.before_wkv = torch.compile(block.att.before_wkv, dynamic=False)
            block.att.after_wkv = torch.compile(block.att.after_wkv, dynamic=False)
            block.ffn.forward = torch.compile(block.ffn.forward, dynamic=False)


def shape_of(weights: dict[str, Tensor]) -> Shape:
    """Read the sizes back from a checkpoint's tensors."""
    vocabulary, width = weights["emb.weight"].shape
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    ranks = tuple(weights[f"blocks.{layers - 1}.att.{pair}1"].shape[1] for pair in "wavg" if layers > 1 or pair != "v")
    return Shape(vocabulary, width, layers, ranks if layers > 1 else (ranks[0], ranks[1], 1, ranks[2]))


def from_weights(weights: dict[str, Tensor]) -> Rwkv7:
    """A model in evaluation mode with these weights, in float32."""
    model = Rwkv7(shape_of(weights))
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return model.eval()
