"""Choosing where and how to run: limits, objectives, placement, and why; pure arithmetic over options."""
