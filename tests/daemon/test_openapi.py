"""The OpenAPI document is complete; that it is true of the daemon is what `make soak` asks schemathesis."""

from __future__ import annotations

import json

from starlette.routing import Route

from assistant.daemon.app import create_app
from assistant.daemon.openapi import LINKS, OPERATIONS, document


class _NoServices:
    def touch(self) -> None:
        raise NotImplementedError


def test_every_route_is_in_the_document_and_nothing_else():
    routes = {
        (method, route.path)
        for route in create_app(_NoServices()).routes
        if isinstance(route, Route)
        for method in route.methods - {"HEAD"}
    }
    assert routes == {(op.method, op.path) for op in OPERATIONS}


def test_references_and_links_lead_somewhere():
    found = json.loads(document())
    ids = {op["operationId"] for path in found["paths"].values() for op in path.values()}
    assert len(ids) == len(OPERATIONS)
    assert {target for links in LINKS.values() for target, _, _ in links} <= ids
    references = set()

    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                references.add(node["$ref"].rpartition("/")[2])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(found)
    assert references <= set(found["components"]["schemas"])
