"""Texts as QQ carries them.

In guilds the text is a language of its own: `<@!id>` mentions a member and `<#id>` a channel, so what is meant literally
is escaped, in both directions. Elsewhere a text is just a text.
"""

import re
from collections.abc import Iterable


def escape(text: str) -> str:
    """Write a text for a guild, so that it is shown as it is.

    >>> escape("a < b & <@everyone>")
    'a &lt; b &amp; &lt;@everyone&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """Read a text that was said in a guild."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def unaddressed(text: str, names: Iterable[str]) -> str:
    """Take out that the bot is meant: the tags that mention it, and the blanks they leave at both ends.

    >>> unaddressed("<@!7010> what is <@!42> doing", ["7010"])
    'what is <@!42> doing'
    """
    tags = "|".join(re.escape(name) for name in names if name)
    if not tags:
        return text.strip()
    return re.sub(rf"<@!?(?:{tags})>[^\S\r\n]?", "", text).strip()
