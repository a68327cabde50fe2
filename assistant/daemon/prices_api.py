"""/v1/prices: what a hosted model would ask for tokens, so that a client can compare while an answer is written."""

from __future__ import annotations

from starlette.requests import Request
from starlette.routing import Route

from assistant import wire
from assistant.daemon.answers import answer
from assistant.meter import prices


async def cloud(_request: Request):
    table = prices.load()
    (input_low, input_high), (output_low, output_high) = (
        table.cloud_input_per_mtok.band,
        table.cloud_output_per_mtok.band,
    )
    return answer(wire.CloudPrices(currency=table.currency, input_low=input_low, input_high=input_high,
                                   output_low=output_low, output_high=output_high))  # fmt: skip


ROUTES = [Route("/v1/prices", cloud, methods=["GET"])]
