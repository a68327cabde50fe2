"""The modelled cost of a pass on this host: a roofline over bytes and MACs with published energy constants."""

from __future__ import annotations

from dataclasses import dataclass

from backends.base import Cost, ModelConfig, Workload
from backends.census import pass_bytes, pass_macs

ENERGY_MODEL = (
    "model: 96 pJ per byte from DRAM (DDR5, accelergy-cacti) + 1.5 pJ per MAC (fp16 at 45 nm, Horowitz ISSCC'14); "
    "no idle power"
)
"""How HostModel makes joules of bytes and MACs, for those who show them."""


@dataclass(frozen=True, slots=True)
class HostModel:
    """Constants of a host. Replaced by measured ones once the host is calibrated."""

    read_bandwidth_bytes_s: float = 26.2e9  # one-thread AVX-512 sum on the project's 2-core Zen 4 test machine
    mac_rate_macs_s: float = 20e9  # assumed: one core, float32, NumPy
    dram_j_per_byte: float = 96e-12  # DDR5, accelergy-cacti table (confidence M-L)
    mac_j: float = 1.5e-12  # fp16 multiply + add at 45 nm, Horowitz ISSCC'14: 1.1 + 0.4 pJ (stands in for fp32)

    def cost(self, config: ModelConfig, workload: Workload, skipped_bytes: int = 0) -> Cost:
        """Roofline latency (the slower of moving and multiplying) and the energy of both. basis: modelled.

        skipped_bytes: weights that this very pass did not have to read. MACs are always the dense network's.
        """
        macs = pass_macs(config, workload.tokens, workload.batch)
        moved = pass_bytes(config, workload.tokens, workload.batch, workload.precision) - skipped_bytes
        return Cost(
            latency_s=max(moved / self.read_bandwidth_bytes_s, macs / self.mac_rate_macs_s),
            energy_j=moved * self.dram_j_per_byte + macs * self.mac_j,
            macs=macs,
            bytes_moved=moved,
            basis="modelled",
        )
