"""The words that an export may keep in free text: those that the source itself can say.

What a platform, a library or a user's code puts into an error cannot be told by its shape from a name or from a piece of a
message. So the list is one of what is allowed, and it is made of the string literals of the installed code, docstrings
apart: a sentence of ours comes through whole, and so do the names of hosts, settings and codes that are written there.
"""

import ast
import errno
import functools
import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from statecore_journal.export.fields import COMPARED

RUN: Final = r"""[^\s"'()\[\]{}<>,;!?=|`]+"""
"""A run of characters between spaces and the punctuation that separates."""

LEFT_OUT: Final = frozenset({"simulator", "demo"})
"""Packages whose literals are made up: names and messages of people who do not exist."""

_COMMON: Final = """
a an and are as at be been before but by can cannot could did do does for from had has have if in into is it its may not of
off on one or over so than that the then there they this to too up was were when which while will with within without would
certificate verify failed self signed chain hostname mismatch expired ssl tls handshake alert protocol version unknown ca eof
occurred violation read write timed out timeout connection refused reset closed peer broken pipe server disconnected sending
response receiving host name service resolve resolution temporary failure getaddrinfo nodename nor servname provided known no
route unreachable network attempts status http https errno ok internal error bad gateway unavailable forbidden unauthorized
request requests invalid argument parameter param limit rate limited frequency quota exceeded denied permission prepare
message messages code ret errcode err_code image text voice video file none null true false codec decode encode byte position
character unicode json parse value key type object list string number expected got line column char delimiter attribute module
"""
"""What libraries and platforms say, beyond what stands in our source."""

_WORD: Final = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")
_TOKEN: Final = re.compile(RUN)
_EXAMPLE: Final = re.compile(r"[0-9]{3}|.@")
"""Ids stand in the source as examples; they are no words."""
_HOST_OF_URL: Final = re.compile(r"://([a-z0-9.-]+)")


@attrs.frozen
class Vocabulary:
    """What may be kept.

    Args:
        words: single words and tokens, in lower case.
        sentences: whole literals.
    """

    words: frozenset[str]
    sentences: frozenset[str]


@functools.cache
def vocabulary(packages: tuple[str, ...] = ("statecore",)) -> Vocabulary:
    """Collect what the source of some packages can say. It takes half a second, once a process.

    Args:
        packages: names of packages, which need not be imported; one that has no source adds nothing.
    """
    words = {*_COMMON.split(), *COMPARED}
    sentences: set[str] = set()
    for number in errno.errorcode:
        words |= tokens_of(os.strerror(number))
    for package in packages:
        for file in _sources(package):
            for literal in _literals(file):
                words |= tokens_of(literal)
                sentences.add(literal)
    return Vocabulary(frozenset(words), frozenset(sentences))


def tokens_of(text: str) -> set[str]:
    """Return the words and tokens of a text, in lower case.

    >>> sorted(tokens_of("correct base_url: a user's ends in @im.wechat"))[:3]
    ['a', 'base', 'base_url']
    """
    lowered = text.lower()
    found = {word for token in _TOKEN.findall(lowered) for word in (token, token.strip("@.:-/…"))}
    found = {token for token in found if not _EXAMPLE.search(token)}
    return {*found, *_WORD.findall(lowered), *_HOST_OF_URL.findall(lowered)}


def _sources(package: str) -> Iterator[Path]:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    folders = spec.submodule_search_locations
    if folders is None:
        yield from [Path(spec.origin)] if spec.origin else []
        return
    for folder in folders:
        for file in Path(folder).rglob("*.py"):
            if not LEFT_OUT & set(file.relative_to(folder).parts):
                yield file


def _literals(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    said: set[int] = set()
    for node in ast.walk(tree):  # what holds a node comes before it
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and id(node) not in said:
                yield node.value
        elif isinstance(node, ast.Expr):
            said.add(id(node.value))  # a docstring
