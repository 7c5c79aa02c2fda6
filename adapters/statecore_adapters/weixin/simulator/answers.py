"""How an answer leaves: whole, or spoiled on purpose."""

from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson

from statecore_adapters import httpd

from .checks import Call
from .knobs import Knobs, PollFault
from .scripts import Script

__all__ = ["dress", "json_response", "scripted"]

JSON_HEADERS: Final = {"content-type": "application/octet-stream"}  # what the real server says about its JSON


def json_response(body: Mapping[str, Any]) -> httpd.Response:
    """Write an answer the way the real server does."""
    return httpd.Response(200, JSON_HEADERS, orjson.dumps(body))


def dress(call: Call, script: Script | None, response: httpd.Response, knobs: Knobs) -> httpd.Answer:
    """Spoil a good answer, if a script or a knob asks for it."""
    if script is not None:
        return scripted(script, response)
    if call.endpoint == "sendmessage" and knobs.reply_lost is not None:
        return httpd.CloseAtOnce() if knobs.reply_lost == "drop" else httpd.Stall()
    if call.endpoint == "getupdates" and knobs.poll_fault is not None:
        return _poll_fault(knobs.poll_fault, response)
    if knobs.malformed_json:
        response = attrs.evolve(response, body=response.body[: len(response.body) // 2])
    if knobs.bad_content_length is not None:
        return httpd.BadContentLength(response, knobs.bad_content_length)
    if knobs.slow_body_bytes_per_s is not None:
        return httpd.SlowBody(response, knobs.slow_body_bytes_per_s)
    return response


def scripted(script: Script, response: httpd.Response) -> httpd.Answer:
    """Make the answer a script asks for; *response* is the true one."""
    if callable(script.act):
        return script.act(response)
    return json_response(script.act) if isinstance(script.act, Mapping) else script.act


def _poll_fault(name: PollFault, response: httpd.Response) -> httpd.Fault:
    match name:
        case "half_response":
            return httpd.HalfResponse(response, len(response.body) // 2)
        case "close_at_once":
            return httpd.CloseAtOnce()
        case "reset":
            return httpd.Reset()
        case "stall":
            return httpd.Stall()
        case "flood":
            return httpd.Flood(headers=JSON_HEADERS)
