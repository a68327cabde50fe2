"""A request's sampling fields over the configured defaults, checked."""

from __future__ import annotations

import secrets

from assistant import wire
from assistant.config import Sampling
from assistant.errors import RequestError
from assistant.sampler import SamplingParams

LIMITS = {  # OpenAI's ranges where OpenAI has the field
    "temperature": (0.0, 5.0), "top_p": (0.0, 1.0), "top_k": (0, 1 << 20), "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0), "penalty_decay": (0.0, 1.0),
}  # fmt: skip
MAX_STOPS = 4  # as OpenAI
MAX_STOP_BYTES = 256


def sampling_params(request: wire.SamplingFields, defaults: Sampling) -> SamplingParams:
    """Raises RequestError naming the field and its range. Without a seed each reply gets a fresh one."""
    values = {}
    for name, (low, high) in LIMITS.items():
        value = getattr(request, name)
        value = getattr(defaults, name) if value is None else value
        if not low <= value <= high:
            raise RequestError(f"{name} is {value}", code="out_of_range", why=f"it must be from {low} to {high}")
        values[name] = value
    seed = request.seed if request.seed is not None else defaults.seed
    return SamplingParams(seed=secrets.randbits(48) if seed is None else seed, **values)


def token_limit(request: wire.SamplingFields, defaults: Sampling, most: int = 1 << 20) -> int:
    limit = request.max_completion_tokens if request.max_completion_tokens is not None else request.max_tokens
    limit = defaults.max_tokens if limit is None else limit
    if not 1 <= limit <= most:
        raise RequestError(f"max_tokens is {limit}", code="out_of_range", why=f"it must be from 1 to {most}")
    return limit


def stop_strings(request: wire.SamplingFields) -> tuple[str, ...]:
    stops = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    if len(stops) > MAX_STOPS:
        raise RequestError(f"{len(stops)} stop strings", code="out_of_range", why=f"at most {MAX_STOPS} are allowed")
    if any(not s or len(s.encode()) > MAX_STOP_BYTES for s in stops):
        raise RequestError("a stop string is empty or too long", code="out_of_range",
                           why=f"each must have 1 to {MAX_STOP_BYTES} bytes")  # fmt: skip
    return stops
