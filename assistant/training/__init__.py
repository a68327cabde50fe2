"""The recipe of the embedded model: a dialogue grammar, a trimmed vocabulary and a CPU trainer for RWKV-7."""
