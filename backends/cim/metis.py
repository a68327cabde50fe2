"""Axelera Metis: what stays on the chip, what streams from DRAM, and what a pass costs.

The laws are fits on published measurements of Llama models and of single products; `validate` shows how far they
carry. For RWKV nothing is measured: the SDK cannot compile it, so the host's share is assumed to be Llama's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from backends.base import ModelConfig
from backends.census import census, pass_macs
from backends.cim.cost import ChipCost
from backends.cim.operations import rwkv7_operations
from backends.cim.shapes import Matrix, matrices
from backends.profiles import Band, Profile


@dataclass(frozen=True, slots=True)
class Residency:
    """Where the weights of a model are, in bytes of int8."""

    weight_bytes: int
    on_chip_bytes: int
    arrays: int  # 512 x 512 blocks; a core computes one at a time

    @property
    def resident(self) -> bool:
        return self.weight_bytes <= self.on_chip_bytes

    @property
    def streamed_bytes(self) -> int:
        """Per pass. Measured models that do not fit stream all of their weights, so nothing is assumed to be pinned."""
        return 0 if self.resident else self.weight_bytes


def residency(wanted: Iterable[Matrix], chip: Profile) -> Residency:
    rows, columns = int(chip.value("chip.array_rows")), int(chip.value("chip.array_columns"))
    wanted = list(wanted)
    blocks = sum(-(-m.inputs // rows) * -(-m.outputs // columns) for m in wanted)
    return Residency(sum(m.weights for m in wanted), int(chip.value("chip.on_chip_bytes")), blocks)


def peak_ops_s(chip: Profile) -> float:
    """Of one core: 2 x rows x columns x clock / input bits (bit-serial inputs)."""
    return 2 * chip.value("chip.array_rows") * chip.value("chip.array_columns") * (
        chip.value("chip.clock_hz") / chip.value("chip.input_bits"))  # fmt: skip


def gemv_s(weights: int, chip: Profile) -> float:
    """Device time of one matrix-vector product: a base and a time per weight up to the knee, a stream above it."""
    if weights > chip.value("gemv.knee_weights"):
        return weights / chip.value("gemv.spill_bytes_s")
    return chip.value("gemv.base_s") + chip.value("gemv.per_weight_s") * weights


def gemm_s(weights: int, tokens: int, chip: Profile) -> float:
    """Device time of one resident matrix times a block of tokens; never less than a single product."""
    law = weights / chip.value("gemm.fit_weights") * (
        chip.value("gemm.base_s") + chip.value("gemm.per_token_s") * tokens)  # fmt: skip
    return max(gemv_s(weights, chip), law)


def decode_device_s(weight_bytes: float, chip: Profile) -> Band:
    """Device time of one decode step of a model whose weights stream."""
    return Band.of(weight_bytes) / chip.band("stream.bandwidth_bytes_s")


def host_s(layers: int, chip: Profile) -> Band:
    return chip.band("host.per_layer_s") * layers


def _products_s(wanted: tuple[Matrix, ...], n: int, batch: int, chip: Profile) -> float:
    """Device time of all products, one after the other; the head runs once per sequence."""
    times = Counter((m.weights, batch if m is wanted[-1] else n) for m in wanted)
    return sum(count * (gemm_s(w, t, chip) if t > 1 else gemv_s(w, chip)) for (w, t), count in times.items())


def cost(config: ModelConfig, chip: Profile, tokens: int = 1, batch: int = 1) -> ChipCost:
    """One pass of `tokens` for each of `batch` sequences. See the profile for the source of every constant."""
    wanted, n, c, ops = matrices(config), tokens * batch, census(config), rwkv7_operations(config)
    where = residency(wanted, chip)
    if where.resident:
        latency = {"array products": Band.of(_products_s(wanted, n, batch, chip))}
    else:
        streamed = decode_device_s(where.weight_bytes, chip)
        if n > 1:  # the arrays work while the next weights arrive; the slower of the two is what counts
            streamed = streamed.larger(Band.of(_products_s(wanted, n, batch, chip)))
        latency = {"weights from DRAM": streamed}
    latency["host calls and digital side"] = host_s(config.layers, chip)
    if n > 1:
        latency["digital side of further tokens"] = Band.of((n - 1) * ops.digital_ops) / chip.band("host.op_s")

    macs = pass_macs(config, tokens, batch)
    array_macs = macs - n * (c.state_macs + c.decay_macs)
    vectors = sum(m.inputs + m.outputs for m in wanted) * n
    sram_bytes = where.weight_bytes + vectors
    host_bytes = 4 * c.vector_weights + n * 2 * ops.memory_bytes
    spent = sum(latency.values(), Band(0, 0, 0))
    energy = {
        "array products": Band.of(2 * array_macs / chip.value("power.efficiency_ops_j")),
        "DRAM": chip.band("power.dram_j_per_byte") * where.streamed_bytes,
        "SRAM": Band.of(sram_bytes * chip.value("power.sram_j_per_byte")),
        "digital side on the host": chip.band("power.host_op_j") * (n * ops.digital_ops),
        "waiting": chip.band("power.idle_w") * spent,
    }
    return ChipCost(latency, energy, macs, int(where.streamed_bytes + sram_bytes + host_bytes))
