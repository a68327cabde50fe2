"""RWKV-7 as one ONNX graph for any batch and any number of tokens, with the maths and names of `backends.rwkv7`.

Inputs: tokens i64[B, T], shift_tmix f32[L, B, D], wkv.<i> f32[B, H, N, N] per layer, shift_cmix f32[L, B, D].
Outputs: logits f32[B, V] of the last token, and each state input under its name with `.out`.

Inside, time is the leading axis, because Scan walks along it without a copy; decode is T = 1 of the same graph, so that
both compute alike. An output of the state may be bound to the memory of its input: what writes it depends on all
that reads the input.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto

from backends.base import Weights
from backends.onnx.builder import CONTRIB, GraphBuilder, make_model, value
from backends.onnx.layout import SCALE, external_tensors
from backends.rwkv7 import DECAY_SCALE, HEAD_NORM_EPS, LAYER_NORM_EPS
from backends.tensors import GROUP, Int4Matrix, QuantizedMatrix

DATA_FILE = "model.onnx.data"
INT8_ACTIVATIONS = 4  # MatMulNBits' accuracy level: inputs are rounded to int8 per block, products are exact in int32


def build_model(weights: Weights) -> ModelProto:
    """The graph of these weights. Vectors are in it; matrices are named and meant to be in `DATA_FILE`."""
    graph = _Rwkv7(weights).build()
    metadata = {"precision": weights.precision, "source_sha256": weights.source_hash}
    return make_model(graph, external_tensors(weights), DATA_FILE, metadata)


class _Rwkv7:
    def __init__(self, weights: Weights):
        self.weights, self.config, self.graph = weights, weights.config, GraphBuilder()

    def build(self):
        g, c = self.graph, self.config
        L, D, H, N, V = c.layers, c.width, c.heads, c.head_size, c.vocab
        tmix_in, cmix_in = (
            g.ops("Split", s, outs=[f"{s}.{i}" for i in range(L)], axis=0, num_outputs=L)
            for s in ("shift_tmix", "shift_cmix")
        )
        x = self.norm(self.embed("tokens"), "blocks.0.ln0")
        normed, v_first, tmix_out, cmix_out = self.norm(x, "blocks.0.ln1"), "", [], []
        for i in range(L):
            out, v_first, last = self.time_mix(i, normed, tmix_in[i], v_first)
            tmix_out.append(last)
            x, normed = self.add_and_norm(x, out, f"blocks.{i}.ln2")
            out, last = self.channel_mix(i, normed, cmix_in[i])
            cmix_out.append(last)
            if i + 1 < L:
                x, normed = self.add_and_norm(x, out, f"blocks.{i + 1}.ln1")
        x, out = (g.op("Gather", z, g.constant(-1, np.int64), axis=0) for z in (x, out))  # the last token
        _, normed = self.add_and_norm(x, out, "ln_out")
        self.matmul("head.weight", normed, out="logits")
        g.ops("Concat", *tmix_out, axis=0, outs=["shift_tmix.out"])
        g.ops("Concat", *cmix_out, axis=0, outs=["shift_cmix.out"])

        shift, memory = (L, "batch", D), ("batch", H, N, N)
        state = {"shift_tmix": shift, **{f"wkv.{i}": memory for i in range(L)}, "shift_cmix": shift}
        return g.body(
            "rwkv7",
            [value("tokens", ("batch", "time"), TensorProto.INT64), *(value(n, s) for n, s in state.items())],
            [value("logits", ("batch", V)), *(value(n + ".out", s) for n, s in state.items())],
        )

    def vector(self, name: str, *shape: int) -> str:
        return self.graph.constant(self.weights[name].reshape(shape or -1))

    def matmul(self, name: str, x: str, bias: str = "", out: str = "") -> str:
        """x f32[..., in] -> x @ W.T (+ bias) f32[..., out] for the stored matrix W [out, in]."""
        g, tensor, out = self.graph, self.weights.raw(name), out or self.graph.fresh()
        if isinstance(tensor, QuantizedMatrix | Int4Matrix):
            rows, columns = tensor.shape
            inputs = [x, name, name + SCALE, *(["", "", bias] if bias else [])]
            g.ops("MatMulNBits", *inputs, outs=[out], domain=CONTRIB, N=rows, K=columns, block_size=GROUP,
                  bits=4 if isinstance(tensor, Int4Matrix) else 8, accuracy_level=INT8_ACTIVATIONS)  # fmt: skip
        elif bias:
            g.ops("Add", g.op("MatMul", x, name), bias, outs=[out])
        else:
            g.ops("MatMul", x, name, outs=[out])
        return out

    def norm(self, x: str, name: str) -> str:
        weight, bias = self.vector(name + ".weight"), self.vector(name + ".bias")
        return self.graph.op("LayerNormalization", x, weight, bias, epsilon=float(LAYER_NORM_EPS))

    def add_and_norm(self, x: str, more: str, name: str) -> tuple[str, str]:
        """(x + more, its norm) in one node."""
        weight, bias = self.vector(name + ".weight"), self.vector(name + ".bias")
        normed, _, _, total = self.graph.ops(
            "SkipLayerNormalization", x, more, weight, bias, domain=CONTRIB, epsilon=float(LAYER_NORM_EPS),
            outs=[self.graph.fresh(), "", "", self.graph.fresh()],
        )  # fmt: skip
        return total, normed

    def embed(self, tokens: str) -> str:
        """tokens i64[B, T] -> f32[T, B, D]; only the rows that are asked for are touched."""
        g = self.graph
        ids = g.op("Transpose", tokens, perm=[1, 0])
        rows = g.op("Gather", "emb.weight", ids)
        if isinstance(self.weights.raw("emb.weight"), QuantizedMatrix):
            rows = g.op("Mul", g.op("Cast", rows, to=TensorProto.FLOAT), g.op("Gather", "emb.weight" + SCALE, ids))
        return rows

    def token_shift(self, x: str, previous: str) -> tuple[str, str]:
        """x f32[T, B, D], previous f32[1, B, D] -> (previous input minus input, the last input f32[1, B, D])."""
        g = self.graph
        at = lambda i: g.constant([i], np.int64)  # noqa: E731
        inputs = g.op("Concat", previous, x, axis=0)
        shifted = g.op("Slice", inputs, at(0), at(-1), at(0))
        last = g.op("Slice", inputs, at(-1), at(np.iinfo(np.int64).max), at(0))
        return g.op("Sub", shifted, x), last

    def time_mix(self, i: int, x: str, previous: str, v_first: str) -> tuple[str, str, str]:
        """x f32[T, B, D] (after ln1) -> (output f32[T, B, D], v_first, the last input f32[1, B, D])."""
        g, p, H, N = self.graph, f"blocks.{i}.att.", self.config.heads, self.config.head_size
        heads = lambda z, *shape: g.reshape(z, 0, 0, H, *shape)  # noqa: E731
        xx, last = self.token_shift(x, previous)
        mixes = g.constant(np.stack([self.weights[p + f"x_{c}"] for c in "rwkvag"]))  # [6, D]
        mixed = g.op("Add", g.reshape(x, 0, 0, 1, -1), g.op("Mul", g.reshape(xx, 0, 0, 1, -1), mixes))
        xr, xw, xk, xv, xa, xg = g.ops("Split", mixed, outs=[g.fresh() for _ in "rwkvag"], axis=2, num_outputs=6)

        r = self.matmul(p + "receptance.weight", xr)  # [T, B, 1, D], like all down to the heads
        k = self.matmul(p + "key.weight", xk)
        v = self.matmul(p + "value.weight", xv)
        w = g.op("Sigmoid", self.lora(p, "w", xw, "Tanh", bias=True))
        w = g.op("Exp", g.op("Mul", w, g.constant(DECAY_SCALE)))
        a = g.op("Sigmoid", self.lora(p, "a", xa, bias=True))
        gate = self.lora(p, "g", xg, "Sigmoid")
        if i == 0:
            v_first = v
        else:
            part = g.op("Sigmoid", self.lora(p, "v", xv, bias=True))
            v = g.op("Add", v, g.op("Mul", g.op("Sub", v_first, v), part))

        kk = g.op("LpNormalization", heads(g.op("Mul", k, self.vector(p + "k_k")), N), axis=-1, p=2)
        # k * (1 + (a - 1) * k_a), negated: both updates of the memory are then subtracted in one product.
        k_a = self.weights[p + "k_a"]
        minus_k = g.op("Mul", k, g.op("Add", g.op("Mul", a, g.constant(-k_a)), g.constant(k_a - 1)))
        r, v, minus_k, a, kk = (heads(z, 1, N) for z in (r, v, minus_k, a, kk))
        written = g.op("Concat", g.op("Mul", kk, a), minus_k, axis=3)  # [T, B, H, 2, N]
        y = self.wkv(i, r, heads(w, N, 1), kk, written, v)  # [T, B, H, 1, N]

        weight, bias = (self.vector(p + "ln_x." + part, H, 1, N) for part in ("weight", "bias"))
        y = g.op("LayerNormalization", y, weight, bias, axis=-1, epsilon=float(HEAD_NORM_EPS))
        bonus = g.op("Mul", g.op("Mul", minus_k, g.constant(-self.weights[p + "r_k"][:, None])), r)
        bonus = g.op("ReduceSum", bonus, g.constant([-1], np.int64), keepdims=1)
        y = g.reshape(g.op("Add", y, g.op("Mul", bonus, v)), 0, 0, 1, -1)
        return g.reshape(self.matmul(p + "output.weight", g.op("Mul", y, gate)), 0, 0, -1), v_first, last

    def lora(self, p: str, name: str, x: str, between: str = "", bias: bool = False) -> str:
        low = self.matmul(p + name + "1", x)
        if between:
            low = self.graph.op(between, low)
        return self.matmul(p + name + "2", low, self.vector(p + name + "0") if bias else "")

    def wkv(self, i: int, r: str, w: str, kk: str, written: str, v: str) -> str:
        """The recurrence over T as a Scan: S <- w * S - written^T [kk^T S; v];  y = r^T S."""
        H, N = self.config.heads, self.config.head_size
        row, memory = ("batch", H, 1, N), ("batch", H, N, N)
        g = GraphBuilder(prefix := f"wkv.{i}.")
        shapes = {"S": memory, "r": row, "w": ("batch", H, N, 1), "kk": row, "written": ("batch", H, 2, N), "v": row}
        inputs = [value(prefix + name, shape) for name, shape in shapes.items()]
        S, r_t, w_t, kk_t, written_t, v_t = (x.name for x in inputs)
        pair = g.op("Concat", g.op("MatMul", kk_t, S), v_t, axis=2)
        update = g.op("FusedMatMul", written_t, pair, domain=CONTRIB, transA=1)
        new_S = g.op("Sub", g.op("Mul", S, w_t), update)
        outputs = [value(new_S, memory), value(g.op("MatMul", r_t, new_S), row)]
        outs = [f"wkv.{i}.out", self.graph.fresh()]
        body = g.body(f"wkv.{i}", inputs, outputs)
        self.graph.ops("Scan", f"wkv.{i}", r, w, kk, written, v, outs=outs, body=body, num_scan_inputs=5)
        return outs[1]

    def channel_mix(self, i: int, x: str, previous: str) -> tuple[str, str]:
        """x f32[T, B, D] (after ln2) -> (output f32[T, B, D], the last input f32[1, B, D])."""
        g, p = self.graph, f"blocks.{i}.ffn."
        xx, last = self.token_shift(x, previous)
        hidden = g.op("Relu", self.matmul(p + "key.weight", g.op("Add", x, g.op("Mul", xx, self.vector(p + "x_k")))))
        return self.matmul(p + "value.weight", g.op("Mul", hidden, hidden)), last
