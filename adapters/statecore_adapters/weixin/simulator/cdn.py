"""Media: grants, encrypted uploads, and downloads. The server never sees a plain file."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import attrs

from statecore_adapters import httpd

from .checks import AUTH_DEAD, Call, Outcome, is_user_id
from .ids import Ids
from .knobs import Knobs

__all__ = ["Blob", "Cdn"]

LENGTH_MISMATCH: Final = "-5102031"  # the x-error-code that was seen live
MEDIA_KINDS: Final = frozenset({1, 2, 3, 4})  # image, video, file, voice
AES_BLOCK: Final = 16


@attrs.frozen(kw_only=True)
class Grant:
    """Leave to upload one file, as asked for by getuploadurl."""

    filekey: str
    filesize: int
    asked: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Blob:
    """One stored file, encrypted.

    Attributes:
        param: its name, what goes into `encrypt_query_param`.
        asked: the body of the getuploadurl that allowed it ({} when a test put it there): its claims about size,
            md5 and key are for the test to verify.
    """

    param: str
    ciphertext: bytes
    asked: Mapping[str, Any]


@attrs.define(eq=False)
class Cdn:
    """Where encrypted files live. `base` is the address of the /c2c root."""

    ids: Ids
    base: str = ""
    grants: dict[str, Grant] = attrs.field(factory=dict)
    blobs: dict[str, Blob] = attrs.field(factory=dict)

    def put(self, ciphertext: bytes, asked: Mapping[str, Any] | None = None) -> Blob:
        """Store a file under a new name."""
        blob = Blob(param=self.ids.opaque("blob", 120), ciphertext=ciphertext, asked=asked or {})
        self.blobs[blob.param] = blob
        return blob

    def refuse(self, call: Call, knobs: Knobs) -> Outcome | None:
        """Check one getuploadurl; None lets it through."""
        match knobs.upload_without_token:
            case "-14" if call.context_token is None:
                return Outcome(AUTH_DEAD, "token")
            case "-2" if call.context_token is None:
                return Outcome({"ret": -2}, "token")
        if knobs.upload_restricted:
            return Outcome({"ret": -2}, "restricted")
        if flaws := _upload_flaws(call.body):
            return Outcome({"ret": -1}, "body: " + ", ".join(flaws))
        return None

    def grant(self, call: Call, knobs: Knobs) -> Outcome:
        """Allow one upload, and say where to."""
        body = call.body
        param = self.ids.opaque("grant", 160)
        self.grants[param] = Grant(filekey=body["filekey"], filesize=body["filesize"], asked=dict(body))
        answer: dict[str, Any] = {"ret": 0}
        if knobs.upload_answer in {"full_url", "both"}:
            query = urlencode({"encrypted_query_param": param, "filekey": body["filekey"]})
            answer["upload_full_url"] = f"{self.base}/upload?{query}"
        if knobs.upload_answer in {"param", "both"}:
            answer["upload_param"] = param
        return Outcome(answer)

    def upload(self, request: httpd.Request, knobs: Knobs) -> httpd.Response:
        """Take one encrypted file."""
        grant = self.grants.get(request.query.get("encrypted_query_param", ""))
        if grant is None or grant.filekey != request.query.get("filekey"):
            return _error(400, "no such grant", "-1")
        if knobs.cdn_refuses:
            return _error(400, "refused", "-1")
        if knobs.cdn_fail_first:
            knobs.cdn_fail_first -= 1
            return _error(500, "internal error", "-2")
        if len(request.body) != grant.filesize:
            return _error(400, f"got {len(request.body)} bytes, not {grant.filesize}", LENGTH_MISMATCH)
        blob = self.put(request.body, grant.asked)
        return httpd.Response(200, {} if knobs.cdn_omits_param else {"x-encrypted-param": blob.param})

    def download(self, request: httpd.Request) -> httpd.Response:
        """Give one encrypted file back."""
        blob = self.blobs.get(request.query.get("encrypted_query_param", ""))
        if blob is None:
            return _error(404, "no such file", "-3")
        return httpd.Response(200, {"content-type": "application/octet-stream"}, blob.ciphertext)

    def url(self, blob: Blob) -> str:
        """Return the address a client can download *blob* from."""
        return f"{self.base}/download?{urlencode({'encrypted_query_param': blob.param})}"


def _upload_flaws(body: Mapping[str, Any]) -> list[str]:
    rawsize, filesize = body.get("rawsize"), body.get("filesize")
    padded = (rawsize // AES_BLOCK + 1) * AES_BLOCK if isinstance(rawsize, int) else None
    rules = [
        (is_user_id(str(body.get("to_user_id"))), "to_user_id is not a user's"),
        (_is_hex(body.get("filekey"), 32), "filekey is not 32 hex digits"),
        (_is_hex(body.get("aeskey"), 32), "aeskey is not 32 hex digits"),
        (_is_hex(body.get("rawfilemd5"), 32), "rawfilemd5 is not 32 hex digits"),
        (body.get("media_type") in MEDIA_KINDS, "media_type unknown"),
        (padded is not None and filesize == padded, "filesize is not rawsize padded to AES blocks"),
    ]
    return [flaw for holds, flaw in rules if not holds]


def _is_hex(value: object, digits: int) -> bool:
    return isinstance(value, str) and len(value) == digits and set(value) <= set("0123456789abcdefABCDEF")


def _error(status: int, message: str, code: str) -> httpd.Response:
    return httpd.Response(status, {"x-error-message": message, "x-error-code": code})
