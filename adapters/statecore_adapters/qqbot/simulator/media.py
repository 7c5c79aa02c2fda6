"""Files: uploads in one piece and in parts."""

import hashlib
from collections.abc import Mapping
from typing import Final

import attrs

from statecore_adapters import httpd

from .answers import Outcome, front_end
from .delivery import accept
from .model import File
from .problems import problem
from .records import Scene
from .scripts import Call
from .sending import MEDIA, Message, refuse_message
from .state import State

__all__ = ["Uploads"]

FILE_TYPES: Final = frozenset({1, 2, 3, 4})
UPLOADS_MAX: Final = 16  # in progress, each held in memory whole


@attrs.define(eq=False, kw_only=True)
class _Upload:
    app_id: str
    scope: Scene
    file_type: int
    size: int
    block_size: int
    md5: str
    parts: dict[int, bytes] = attrs.field(factory=dict)  # number of the part, from 1 -> what was put
    finished: set[int] = attrs.field(factory=set)

    @property
    def count(self) -> int:
        return max(1, -(-self.size // self.block_size))

    @property
    def is_whole(self) -> bool:
        if len(self.finished) < self.count:
            return False
        return _md5(b"".join(self.parts[number] for number in range(1, self.count + 1))) == self.md5


class Uploads:
    """What is being uploaded, and the endpoints for it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._uploads: dict[str, _Upload] = {}

    def files(self, call: Call) -> Outcome:
        """Answer POST .../files: one piece, a URL, or the end of an upload in parts."""
        bot, body, knobs = call.bot, call.body, self._state.knobs
        assert bot is not None
        assert call.scene is not None
        if len(call.request.body) > knobs.inline_max_bytes:
            return front_end(413)
        if body.get("upload_id"):
            upload = self._uploads.get(str(body["upload_id"]))
            if upload is None or upload.app_id != bot.app_id or not upload.is_whole:
                return problem(40034001, message="upload is not complete")
            del self._uploads[str(body["upload_id"])]
            return self._keep(call, File(call.scene, upload.file_type, upload.size, self._ends_at()))
        if body.get("file_type") not in FILE_TYPES or not (body.get("url") or body.get("file_data")):
            return problem(12002)
        size = len(str(body.get("file_data") or "")) * 3 // 4
        return self._keep(call, File(call.scene, int(body["file_type"]), size, self._ends_at()))

    def _ends_at(self) -> float:
        ttl_s = self._state.knobs.file_ttl_s
        return self._state.now() + ttl_s if ttl_s else float("inf")

    def _keep(self, call: Call, file: File) -> Outcome:
        """Keep a file, and send it at once if that was asked for."""
        bot, state = call.bot, self._state
        assert bot is not None
        file_info = state.ids.opaque("file info", 120)
        bot.keep_file(file_info, file)
        answer = {"file_uuid": state.ids.opaque("file", 60), "file_info": file_info, "ttl": state.knobs.file_ttl_s}
        if not call.body.get("srv_send_msg"):
            return answer
        message = Message(file.scope, call.target, {"msg_type": MEDIA, "media": {"file_info": file_info}})
        sent = refuse_message(message, bot, state.knobs, state.now()) or accept(state, bot, message)
        return {**answer, "id": sent["id"]} if isinstance(sent, Mapping) else sent

    def prepare(self, call: Call) -> Outcome:
        """Answer POST .../upload_prepare."""
        body, knobs, ids = call.body, self._state.knobs, self._state.ids
        if knobs.upload_quota_used:
            return problem(40093002)
        size = body.get("file_size")
        size = int(size) if isinstance(size, str) and size.isdecimal() else size
        named = all(body.get(field) for field in ("file_name", "md5", "sha1", "md5_10m"))
        if body.get("file_type") not in FILE_TYPES or not named or not isinstance(size, int) or size < 1:
            return problem(12002)
        assert call.bot is not None
        assert call.scene is not None
        upload = _Upload(
            app_id=call.bot.app_id,
            scope=call.scene,
            file_type=int(body["file_type"]),
            size=size,
            block_size=knobs.block_size_bytes,
            md5=str(body["md5"]),
        )
        upload_id = ids.uuid("upload")
        self._uploads[upload_id] = upload
        while len(self._uploads) > UPLOADS_MAX:
            del self._uploads[next(iter(self._uploads))]
        base = f"{self._state.api_base}/upload/{upload_id}"
        parts = [
            {"index": number + knobs.first_part, "presigned_url": f"{base}/{number + 1}?sign={ids.hex('sign', 32)}"}
            for number in range(upload.count)
        ]
        block_size = str(upload.block_size) if knobs.block_size_is == "string" else upload.block_size
        config = {"concurrency": 2, "retry_timeout": 120, "retry_delay": 1}
        return {"upload_id": upload_id, "block_size": block_size, "parts": parts, "upload_config": config}

    def put_part(self, call: Call) -> Outcome:
        """Answer the PUT to a presigned URL, which is another company's storage: no JSON."""
        upload_id, _, number = call.name.partition("/")
        upload = self._uploads.get(upload_id)
        if upload is None or not number.isdecimal() or not 1 <= int(number) <= upload.count:
            return httpd.Response(403)
        if "authorization" in call.request.headers:
            return httpd.Response(400)  # storage takes the signature in the URL, or this header, never both
        upload.parts[int(number)] = call.request.body
        return httpd.Response(200, {"etag": f'"{_md5(call.request.body)}"'})

    def finish_part(self, call: Call) -> Outcome:
        """Answer POST .../upload_part_finish."""
        body, knobs = call.body, self._state.knobs
        if knobs.part_finish_fails > 0:
            knobs.part_finish_fails -= 1
            return problem(40093001)
        upload = self._uploads.get(str(body.get("upload_id")))
        number = body.get("part_index")
        data = upload.parts.get(number) if upload is not None and isinstance(number, int) else None
        if upload is None or not isinstance(number, int) or data is None:
            return problem(40093001, message="part not found")
        if str(body.get("block_size")) != str(len(data)) or body.get("md5") != _md5(data):
            return problem(12002, message="part differs from its md5 or its size")
        upload.finished.add(number)
        return {}


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
