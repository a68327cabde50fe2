"""The operations of one decode step by class, from shapes alone: what an array can hold, and what it cannot."""

from __future__ import annotations

from dataclasses import dataclass

from backends.base import ModelConfig
from backends.census import census
from backends.cim.shapes import Transformer

# Element-wise operations per channel and layer of RWKV-7, read off backends/rwkv7.py (one per element of a result;
# squares and products that are summed at once belong to the reduction, the constant factor of the decay to its exp):
# three norms 12, shift 1, six mixes 12, decay bias 1, rate bias 1, value residual 4, kk 2, key 4, removal pair 2,
# bonus 3, gate 1, two residual sums 2, channel-mix shift and mix 3, squared ReLU on 4 x width 8; layer 0 has no value
# residual; ln0 and ln_out take 4 each.
ELEMENTWISE_PER_CHANNEL = 55 - 8  # without the squared ReLU
REDUCTIONS_PER_CHANNEL = 8  # two norms and the head norm (mean, variance) 6, length of kk 1, bonus 1


@dataclass(frozen=True, slots=True)
class Operations:
    """Counts of one token. A MAC of a stationary matrix touches one weight that never changes; a dynamic one multiplies
    two things that both depend on the text, so no array can hold either."""

    stationary_macs: int
    dynamic_macs: int
    elementwise_ops: int
    reduction_ops: int
    transcendental_ops: int  # exp, sigmoid, tanh, square roots
    memory_bytes: int  # what is kept between tokens and read again at each: the state, or the KV cache (float32 / fp16)

    @property
    def dynamic_share(self) -> float:
        """Of all MACs, those that an array cannot do."""
        return self.dynamic_macs / max(1, self.stationary_macs + self.dynamic_macs)

    @property
    def digital_ops(self) -> int:
        """Everything beside the arrays."""
        return self.dynamic_macs + self.elementwise_ops + self.reduction_ops + self.transcendental_ops


def rwkv7_operations(config: ModelConfig) -> Operations:
    """Exact counts of one RWKV-7 token; they do not depend on how long the conversation is."""
    c, L, D, H = census(config), config.layers, config.width, config.heads
    lora_activations = config.decay_rank + config.gate_rank  # tanh of w, sigmoid of g
    return Operations(
        stationary_macs=c.stationary_macs,
        dynamic_macs=c.state_macs,
        elementwise_ops=c.decay_macs + L * (ELEMENTWISE_PER_CHANNEL * D + 2 * config.ffn) - 4 * D + 8 * D,
        reduction_ops=L * REDUCTIONS_PER_CHANNEL * D + 4 * D,
        # sigmoid and exp of the decay, sigmoids of iclr and value residual; a root per norm and per head's kk
        transcendental_ops=L * (4 * D + lora_activations + 2 + 2 * H) - D + 2,
        memory_bytes=config.state_floats * 4,
    )


def transformer_operations(shape: Transformer, context: int) -> Operations:
    """One token of a Llama-style decoder that attends to `context` earlier ones."""
    L, D, q, kv = shape.layers, shape.width, shape.heads * shape.head_size, shape.kv * shape.head_size
    scores = shape.heads * context
    return Operations(
        stationary_macs=shape.stationary_weights,
        dynamic_macs=2 * L * q * context,
        elementwise_ops=L * (2 * 2 * D + 3 * (q + kv) + 2 * scores + 2 * shape.ffn + 2 * D) + 2 * D,
        reduction_ops=L * (2 * D + 2 * scores) + D,
        transcendental_ops=L * (scores + shape.ffn + 2) + 1,
        memory_bytes=2 * L * kv * context * 2,
    )
