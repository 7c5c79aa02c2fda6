"""Runs the WeChat adapter of hermes-agent 0.19.0, on its own interpreter, and is told what to do line by line.

Commands come as JSON lines on stdin: {"do": "send", "to": ..., "text": ...} and {"do": "stop"}.
What happens goes out as JSON lines on stdout: connected, message, sent, stopped. Logging goes to stderr.

Usage: python hermes_weixin_driver.py '{"base_url": ..., "token": ..., "account_id": ..., "user": ...}'
"""

import asyncio
import json
import sys
from typing import Any

from gateway.config import PlatformConfig  # type: ignore[import-not-found]
from gateway.platforms.weixin import WeixinAdapter  # type: ignore[import-not-found]


def tell(event: str, **facts: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


async def on_message(message: Any) -> str:
    """Stand where the agent stands: report what was heard, and reply to it."""
    tell("message", text=message.text, message_id=message.message_id, chat_id=message.source.chat_id)
    return f"you said: {message.text}"


async def main() -> None:
    options = json.loads(sys.argv[1])
    adapter = WeixinAdapter(
        PlatformConfig(
            enabled=True,
            token=options["token"],
            extra={
                "account_id": options["account_id"],
                "base_url": options["base_url"],
                "cdn_base_url": options["base_url"] + "/c2c",
                "dm_policy": "allowlist",
                "allow_from": [options["user"]],
                "text_batch_delay_seconds": 0.05,  # its 3 s of waiting for more lines are no part of this
            },
        )
    )
    adapter.set_message_handler(on_message)
    tell("connected", ok=await adapter.connect())
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        if command["do"] == "stop":
            break
        result = await adapter.send(command["to"], command["text"])
        tell("sent", success=result.success, error=result.error, message_id=result.message_id)
    await adapter.disconnect()
    tell("stopped")


if __name__ == "__main__":
    asyncio.run(main())
