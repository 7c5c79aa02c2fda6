"""Runs qq-botpy 1.2.1, the platform's own Python library, on its own interpreter: a bot that repeats what it hears.

What happens goes out as JSON lines on stdout: ready, resumed, message, sent, failed. Logging goes to stderr. It ends when
its stdin does.

Usage: python botpy_driver.py '{"api_base": ..., "token_url": ..., "app_id": ..., "secret": ...}'
"""

import asyncio
import contextlib
import json
import os
import sys
from typing import Any

import aiohttp  # type: ignore[import-not-found]

OUT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # the library prints

import botpy  # type: ignore[import-not-found]  # noqa: E402
from botpy.http import Route  # type: ignore[import-not-found]  # noqa: E402

TOKEN_URL = "https://bots.qq.com/app/getAppAccessToken"  # stands in the middle of a function


def tell(event: str, **facts: Any) -> None:
    OUT.write(json.dumps({"event": event, **facts}) + "\n")
    OUT.flush()


class Echo(botpy.Client):  # type: ignore[misc]
    async def on_ready(self) -> None:
        tell("ready", name=self.robot.name)

    async def on_resumed(self) -> None:
        tell("resumed")

    async def on_c2c_message_create(self, message: Any) -> None:
        tell("message", scene="c2c", id=message.id, who=message.author.user_openid, text=message.content)
        await self.echo(message)

    async def on_group_at_message_create(self, message: Any) -> None:
        tell("message", scene="group", id=message.id, who=message.author.member_openid, text=message.content)
        await self.echo(message)

    async def on_at_message_create(self, message: Any) -> None:
        tell("message", scene="channel", id=message.id, who=message.author.id, text=message.content)
        await self.echo(message)

    async def on_direct_message_create(self, message: Any) -> None:
        tell("message", scene="dm", id=message.id, who=message.author.id, text=message.content)
        await self.echo(message)

    async def echo(self, message: Any) -> None:
        try:
            sent = await message.reply(content=f"you said: {message.content.strip()}")
        except Exception as error:  # noqa: BLE001 - whatever it makes of a refusal is to be told
            tell("failed", error=str(error), type=type(error).__name__)
        else:
            tell("sent", id=sent and sent.get("id"))


def redirect(options: dict[str, str]) -> None:
    """Point the library elsewhere. Its hosts are constants, one of them inside a function."""
    Route.SCHEME, _, Route.DOMAIN = options["api_base"].partition("://")
    request = aiohttp.ClientSession._request

    async def redirected(session: Any, method: str, url: Any, **more: Any) -> Any:
        return await request(session, method, options["token_url"] if str(url) == TOKEN_URL else url, **more)

    aiohttp.ClientSession._request = redirected


async def main() -> None:
    options = json.loads(sys.argv[1])
    redirect(options)
    intents = botpy.Intents(public_messages=True, public_guild_messages=True, direct_message=True)
    async with Echo(intents=intents, bot_log=None, ext_handlers=False) as client:
        running = asyncio.create_task(client.start(options["app_id"], options["secret"]))
        await asyncio.to_thread(sys.stdin.read)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


if __name__ == "__main__":
    asyncio.run(main())
