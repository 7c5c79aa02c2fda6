"""Runs the QQ adapter of hermes-agent 0.19.0, on its own interpreter, and is told what to do line by line.

Commands come as JSON lines on stdin: {"do": "send", "to": ..., "text": ..., "reply_to": ...} and {"do": "stop"}.
What happens goes out as JSON lines on stdout: connected, message, sent, stopped. Logging goes to stderr.

Usage: python hermes_qqbot_driver.py '{"api_base": ..., "token_url": ..., "app_id": ..., "secret": ..., "user": ...}'
"""

import asyncio
import json
import sys
from typing import Any

from gateway.config import PlatformConfig  # type: ignore[import-not-found]
from gateway.platforms.qqbot import adapter as qqbot  # type: ignore[import-not-found]


def tell(event: str, **facts: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


async def on_message(message: Any) -> str:
    """Stand where the agent stands: report what was heard, and reply to it."""
    source = message.source
    tell(
        "message",
        text=message.text,
        message_id=message.message_id,
        chat_id=source.chat_id,
        chat_type=source.chat_type,
        user_id=source.user_id,
    )
    return f"you said: {message.text}"


async def main() -> None:
    options = json.loads(sys.argv[1])
    qqbot.API_BASE, qqbot.TOKEN_URL = options["api_base"], options["token_url"]  # its hosts are constants
    adapter = qqbot.QQAdapter(
        PlatformConfig(
            enabled=True,
            extra={
                "app_id": options["app_id"],
                "client_secret": options["secret"],
                "markdown_support": options.get("markdown", False),
                "dm_policy": "allowlist",
                "allow_from": [options["user"]],
                "group_policy": "open",
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
        result = await adapter.send(command["to"], command["text"], reply_to=command.get("reply_to"))
        tell("sent", success=result.success, error=result.error, message_id=result.message_id)
    await adapter.disconnect()
    tell("stopped")


if __name__ == "__main__":
    asyncio.run(main())
