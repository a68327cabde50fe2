"""Devices that run RWKV-7: one folder each, and the contract that they share."""
