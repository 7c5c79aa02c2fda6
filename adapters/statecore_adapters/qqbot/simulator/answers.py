"""Answers on their way out: how the platform writes them, and how its front end does."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from statecore_adapters import httpd

from .problems import Problem

__all__ = ["Outcome", "front_end", "plain"]

Outcome = Mapping[str, Any] | Problem | httpd.Response
TRACE_HEADER: Final = "X-Tps-trace-ID"
JSON_TYPE: Final = "application/json"  # and no charset: there are clients that compare the whole header
REASONS: Final = {413: "Request Entity Too Large", 502: "Bad Gateway", 504: "Gateway Time-out"}


def plain(outcome: Outcome, trace_id: str) -> httpd.Response:
    """Write an answer of the platform."""
    headers = {TRACE_HEADER: trace_id}
    if isinstance(outcome, httpd.Response):
        return httpd.Response(outcome.status, headers | dict(outcome.headers), outcome.body)
    if isinstance(outcome, Problem):
        headers |= {"content-type": JSON_TYPE, **outcome.headers}
        return httpd.Response(outcome.status, headers, orjson.dumps(outcome.body(trace_id)))
    return httpd.Response(200, headers | {"content-type": JSON_TYPE}, orjson.dumps(outcome))


def front_end(status: int) -> httpd.Response:
    """Write an answer of the front end: HTML, without a trace id."""
    words = f"{status} {REASONS.get(status, 'Error')}"
    page = f"<html>\r\n<head><title>{words}</title></head>\r\n<body><h1>{words}</h1></body>\r\n</html>\r\n"
    return httpd.Response(status, {"content-type": "text/html"}, page.encode())
