"""Messages that are written while they are read: POST /v2/users/{openid}/stream_messages."""

from collections.abc import Mapping
from typing import Any, Final

from .answers import Outcome
from .delivery import claim, finish
from .model import Bot, Stream
from .problems import Problem, problem
from .scripts import Call
from .sending import Message, refuse_message
from .state import State

__all__ = ["Streams"]

GENERATING: Final = 1
DONE: Final = 10
STREAMS_MAX: Final = 1000  # of one bot


class Streams:
    """What is being written. One stream uses one of the replies to its message, however many pieces it has."""

    def __init__(self, state: State) -> None:
        self._state = state

    def refuse(self, call: Call) -> Problem | None:
        """Check one piece; None lets it through."""
        body, bot = call.body, call.bot
        assert bot is not None
        text = body.get("content_raw")
        if body.get("input_mode") != "replace" or body.get("input_state") not in {GENERATING, DONE}:
            return problem(12002)
        if not isinstance(text, str) or body.get("content_type") != "markdown":
            return problem(12002)
        if not body.get("stream_msg_id"):
            return refuse_message(self._message(call), bot, self._state.knobs, self._state.now())
        return _piece_flaw(bot.streams.get(str(body["stream_msg_id"])), body, text)

    def write(self, call: Call) -> Outcome:
        """Take one piece."""
        body, bot = call.body, call.bot
        assert bot is not None
        stream = bot.streams.get(str(body.get("stream_msg_id")))
        if stream is None:
            stream = self._begin(bot, call)
        stream.text, stream.index = body["content_raw"], int(body.get("index", 0))
        if body["input_state"] == DONE:
            stream.done = True
            finish(self._state, bot, self._message(call), stream.id)
        return {"id": stream.id, "timestamp": self._state.clock.rfc3339()}

    def _begin(self, bot: Bot, call: Call) -> Stream:
        stream = Stream(claim(self._state, bot, self._message(call)))
        bot.streams[stream.id] = stream
        while len(bot.streams) > STREAMS_MAX:
            del bot.streams[next(iter(bot.streams))]
        return stream

    def _message(self, call: Call) -> Message:
        """Return the message as it would be if it were sent whole."""
        text = call.body["content_raw"]
        body = {**call.body, "msg_type": 2, "content": text, "markdown": {"content": text or " "}}
        return Message("c2c", call.target, body)


def _piece_flaw(stream: Stream | None, body: Mapping[str, Any], text: str) -> Problem | None:
    index = body.get("index")
    if stream is None or stream.done or not isinstance(index, int) or index <= stream.index:
        return problem(12002)
    return None if text.startswith(stream.text) else problem(40113003)
