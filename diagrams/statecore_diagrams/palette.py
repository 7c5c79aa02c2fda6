"""The colours of states, arrows and lanes, in light and in dark.

A state's colour means in pictures what it means in a terminal: green is well, yellow waits because of trouble, cyan acts,
magenta is unclear, red needs a person. Names of colours are in one place, `statecore.cli.common.COLOURS`.
"""

from typing import Final, Literal, TypeAlias

from statecore.cli.common import COLOURS

Theme: TypeAlias = Literal["both", "light", "dark"]

PLAIN: Final = "white"

#           name:     (light fill, light line, dark fill, dark line)
_TONES: Final = {
    "green":   ("#e3f6e8", "#1a7f37", "#12351f", "#3fb950"),
    "red":     ("#ffe9e7", "#c0271d", "#471615", "#f85149"),
    "yellow":  ("#fff4d4", "#8a6100", "#3a2c06", "#d9a520"),
    "magenta": ("#f8e8fb", "#8b2fa3", "#38193f", "#d283e6"),
    "cyan":    ("#def4f9", "#05707f", "#0b343d", "#39b9cd"),
    "white":   ("#f4f6f8", "#5b6570", "#21262d", "#8d96a0"),
}  # fmt: skip

_ELSEWHERE: Final = {
    ("window", "open"): "green", ("window", "used-up"): "yellow", ("window", "refused"): "yellow",
    ("inbound", "retrying"): "yellow", ("circuit", "closed"): "green",
}  # fmt: skip
"""States whose name alone would say the wrong thing: an open window is good, an open circuit is not."""

_LIGHT: Final = {"back": "#ffffff", "text": "#1c2128", "soft": "#57606a", "line": "#444c56", "timer": "#0a58b8"}
_DARK: Final = {"back": "#0d1117", "text": "#e6edf3", "soft": "#a2abb5", "line": "#b1bac4", "timer": "#6cb0ff"}


def tone(machine: str, state: str, *, acts: bool = False) -> str:
    """Return the colour of a state, by the name that it has in a terminal too.

    Args:
        machine: its name; a state may mean something else elsewhere.
        state: the state.
        acts: whether it makes an attempt, which decides where the name is not known.
    """
    name = _ELSEWHERE.get((machine, state)) or COLOURS.get(state) or ("cyan" if acts else PLAIN)
    return name if name in _TONES else PLAIN


def variables(theme: Theme, scope: str) -> str:
    """Return CSS that gives colours their values under *scope*.

    Args:
        theme: light, dark, or whichever the reader's system prefers.
        scope: a selector, such as "svg.statecore".
    """
    light = _block(_LIGHT, 0)
    dark = _block(_DARK, 2)
    if theme == "light":
        return f"{scope}{{{light}}}"
    if theme == "dark":
        return f"{scope}{{{dark}}}"
    return f"{scope}{{{light}}}\n@media (prefers-color-scheme:dark){{{scope}{{{dark}}}}}"


def _block(base: dict[str, str], at: int) -> str:
    pairs = {f"--{name}": value for name, value in base.items()}
    for name, values in _TONES.items():
        pairs[f"--{name}-fill"], pairs[f"--{name}"] = values[at], values[at + 1]
    return ";".join(f"{name}:{value}" for name, value in pairs.items())


def tones(scope: str) -> str:
    """Return CSS that gives a class of each colour's name its fill and line."""
    return "\n".join(f"{scope} .{name}{{--tone:var(--{name});--tone-fill:var(--{name}-fill)}}" for name in _TONES)
