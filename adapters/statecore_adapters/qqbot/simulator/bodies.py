"""Bodies of requests: JSON, or the form that carries a picture to a guild."""

from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import orjson

from statecore_adapters import httpd

__all__ = ["read_body"]


def read_body(request: httpd.Request) -> dict[str, Any] | None:
    """Read a JSON object or a form; None when it is neither. An absent body is an empty object.

    Fields that are null are left out: there are clients that send every field they know of.
    """
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        return _read_form(request)
    try:
        value = orjson.loads(request.body or b"{}")
    except orjson.JSONDecodeError:
        return None
    return {name: field for name, field in value.items() if field is not None} if isinstance(value, dict) else None


def _read_form(request: httpd.Request) -> dict[str, Any] | None:
    """Read multipart/form-data: a file as bytes, an object from its JSON, anything else as text."""
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode("latin-1")
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    if not message.is_multipart():
        return None
    form: dict[str, Any] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(data, bytes):
            return None
        form[name] = data if part.get_filename() is not None else _field(data)
    return form


def _field(data: bytes) -> Any:
    if data[:1] in {b"{", b"["}:
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
    return data.decode(errors="replace")
