"""Free text: sentences of ours, of platforms and of libraries, with everything taken out that the source cannot say."""

import ipaddress
import re
from typing import Final

from statecore_journal.export.fields import Kind
from statecore_journal.export.names import Names
from statecore_journal.export.vocabulary import RUN, Vocabulary

_PARTS: Final = re.compile(
    rf"""
    (?P<url>[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]+)
  | (?P<quoted>(?<![^\s(:=\[,])(?P<mark>["'])(?=[^"']*\s)[^"']+(?P=mark)(?![^\s).,:;!?\]]))
  | (?P<code>[A-Za-z_]{{2,12}}=-?[0-9]{{1,9}}(?![^\s,;.):\]]))
  | (?P<measure>(?<!\S)[0-9]{{1,12}}(?=\ (?:bytes|characters|seconds|ms|ns|s|rows)\b))
  | (?P<token>{RUN})
    """,
    re.VERBOSE,
)
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:[^/@?#]*@)?(\[[^\]]*\]|[^/:?#]*)")
_NUMBER: Final = re.compile(r"[-+#]?[0-9]{1,4}(?:\.[0-9]{1,3})?%?", re.ASCII)
_LENGTH: Final = re.compile(r"(?:[0-9]{1,4}(?:\.[0-9]{1,3})?(?:ns|ms|s|m|h|d|kB|MB|GB))+", re.ASCII)
_SETTING: Final = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,6})?(?:ms|s|m|h|d)", re.ASCII)
_EXCEPTION: Final = re.compile(
    r"(?:[A-Z][A-Za-z]{0,30})?(?:Error|Exception|Timeout|Warning|Exit|Interrupt|Failure|Closed)"
)
_HOST: Final = re.compile(r"(?=.{3,253}$)[A-Za-z0-9](?:[A-Za-z0-9_-]*\.)+[A-Za-z]{2,24}(?::[0-9]{1,5})?")
_PATH: Final = re.compile(r"~?[./\\]*[/\\].*|[A-Za-z]:[/\\].*|.*[/\\].*[/\\].*")
_EDGES: Final = re.compile(r"([.:…-]*)(.*?)([.:…]*)", re.DOTALL)
_INNER: Final = re.compile(r"([.:/_@+-]+)")
_RAISED: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.]*): (.*)", re.DOTALL)

CACHED_MAX: Final = 4096
"""Sentences whose redaction is kept: the same few are said again and again."""


class Prose:
    """Takes names, numbers and unknown words out of sentences.

    Kept are: words and tokens of the vocabulary, numbers of up to four digits, longer ones behind `ret=` and its like,
    durations, and names of exceptions. Everything else becomes a placeholder, the same everywhere.
    """

    def __init__(self, vocabulary: Vocabulary, names: Names) -> None:
        self._vocabulary = vocabulary
        self._names = names
        self._done: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """Redact a sentence."""
        if not text or text in self._vocabulary.sentences:
            return text
        done = self._done.get(text)
        if done is None:
            done = _PARTS.sub(self._part, text)
            if len(self._done) < CACHED_MAX:
                self._done[text] = done
        return done

    def identity(self, kind: Kind, value: str) -> str:
        """Replace an id; what tells of which sort it is, as in "group:..." and "...@im.wechat", is kept."""
        if not value:
            return value
        head, inner, tail = self._sides(value)
        return f"{head}{self._names.of(kind, inner)}{tail}"

    def url(self, value: str) -> str:
        """Replace an address; the scheme is kept, and a host that stands in the source or is this very machine."""
        found = _URL.match(value)
        if found is None:
            return self._names.of(Kind.URL, value) if value else value
        scheme = found[1].lower()
        if scheme not in self._vocabulary.words and scheme not in ("http", "https", "ws", "wss"):
            return self._names.of(Kind.URL, value)
        return f"{scheme}://{self._host(found[2])}/"

    def setting(self, value: str) -> str:
        """Replace the value of a setting, unless it is a length or a known word."""
        if "://" in value:
            return self.url(value)
        return value if self._kept(value) or _SETTING.fullmatch(value) else self.identity(Kind.SETTINGS, value)

    def raised(self, text: str) -> str:
        """Replace what a user's own code raised: it may quote anything, so no word of it is kept but its name."""
        if not text or text in self._vocabulary.sentences:
            return text
        found = _RAISED.fullmatch(text)
        if found is None or not _EXCEPTION.fullmatch(found[1].rpartition(".")[2]):
            return text if _EXCEPTION.fullmatch(text) else self._names.of(Kind.TEXT, text)
        name = found[1].rpartition(".")[2]
        return f"{name}: {self._names.of(Kind.TEXT, found[2])}" if found[2] else f"{name}: "

    def _sides(self, value: str) -> tuple[str, str, str]:
        words = self._vocabulary.words
        head, colon, rest = value.partition(":")
        if not colon or not rest or head.lower() not in words:
            head, colon, rest = "", "", value
        inner, at, tail = rest.rpartition("@")
        if not at or not inner or tail.lower() not in words:
            inner, at, tail = rest, "", ""
        return head + colon, inner, at + tail

    def _part(self, found: "re.Match[str]") -> str:
        text = found[0]
        match found.lastgroup:
            case "url":
                return self.url(text)
            case "measure":
                return text
            case "code":
                name, _, number = text.partition("=")
                return f"{self._token(name)}={number}" if name.lower() in self._vocabulary.words else self._token(text)
            case "token":
                return self._token(text)
            case _:
                mark = text[0]
                return f"{mark}{self._names.of(Kind.TEXT, text[1:-1])}{mark}"

    def _token(self, token: str) -> str:
        edges = _EDGES.fullmatch(token)
        assert edges is not None, "it matches whatever there is"
        before, word, after = edges.groups()
        return f"{before}{self._word(word)}{after}" if word else token

    def _word(self, word: str) -> str:
        if self._kept(word) or _EXCEPTION.fullmatch(word):
            return word
        head, inner, tail = self._sides(word)
        known = self._names.known(inner)
        if known is not None:
            return f"{head}{known}{tail}"
        if _HOST.fullmatch(word) or _address(word):
            return self._host(
                word.rpartition(":")[0] if re.search(r":[0-9]+$", word) and word.count(":") == 1 else word
            )
        pieces = _INNER.split(word)
        if len(pieces) > 1 and all(self._kept(piece) for piece in pieces[::2] if piece):
            return word
        if _PATH.fullmatch(word):
            return self._names.of(Kind.PATH, word)
        return f"{head}{self._names.of(Kind.PROSE, inner)}{tail}"

    def _kept(self, word: str) -> bool:
        return word.lower() in self._vocabulary.words or bool(_NUMBER.fullmatch(word) or _LENGTH.fullmatch(word))

    def _host(self, host: str) -> str:
        bare = host.strip("[]").lower()
        if bare in self._vocabulary.words or bare == "localhost":
            return host
        address = _address(bare)
        if address is not None and (address.is_loopback or address.is_unspecified):
            return host
        return self._names.of(Kind.HOST, bare)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if not re.fullmatch(r"[0-9A-Fa-f:.]{3,60}", text):
        return None
    if text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
