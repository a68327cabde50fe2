"""/v1/selftest: the last kept report in short, and what this process finds when it tries its own walls."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.routing import Route

from assistant import proofs, wire
from assistant.daemon.answers import answer, body
from assistant.daemon.attest import attestation
from assistant.daemon.services import network_status


async def last(_request: Request):
    return answer(wire.SelfTests(last=proofs.last(), kept=len(proofs.history())))


async def attest(request: Request):
    """Probes block on what they try, so they run in a thread."""
    await body(request, wire.Nothing)
    return answer(await asyncio.to_thread(lambda: attestation(network_status())))


ROUTES = [
    Route("/v1/selftest", last, methods=["GET"]),
    Route("/v1/selftest/attest", attest, methods=["POST"]),
]
