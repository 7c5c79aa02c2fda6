"""From an incident to a test: the fewest things from outside that still show it. Pure.

What is tried is the story of the account with lines left out; what decides is whether the monitors see the incident in what
the machines make of it. Lines are left out in ever smaller groups, and in the end one by one, so that none of those that are
left can go (Zeller and Hildebrandt's delta debugging).
"""

from collections.abc import Callable, Mapping, Sequence
from pprint import pformat
from typing import Any, Final

import attrs

from statecore.errors import StatecoreError
from statecore_journal.whatif.story import FOR_EVER, Story, Telling

RUNS_MAX: Final = 2000
"""Runs at most; what is left then is told as it is. An incident of a thousand messages takes a few hundred."""


@attrs.frozen
class Minimised:
    """An incident, in a few lines.

    Args:
        story: what is left.
        lines: how many lines there were.
        runs: how many runs it took.
        complete: whether none of what is left can be left out.
    """

    story: Story
    lines: int
    runs: int
    complete: bool


def minimise(
    story: Story,
    kind: str,
    changes: Mapping[str, str] | None = None,
    *,
    runs_max: int = RUNS_MAX,
    tried: Callable[[int, int], None] = lambda _runs, _lines: None,
) -> Minimised:
    """Leave out of a story what the incident does not need.

    Args:
        story: what is recorded.
        kind: of the incident: "retry-storm".
        changes: settings under which it must not show, so that what is left tells the two apart.
        runs_max: runs at most.
        tried: told after each run how many there were, and how many lines are left.

    Raises:
        StatecoreError: the incident does not show when the account is run on the story, or shows under the changes too.
    """
    search = _Search(story, kind, dict(changes or {}), runs_max, tried)
    if not search.shows(story.tellings):
        raise StatecoreError(_unseen(story, kind, changes))
    kept = search.fewest()
    return Minimised(story.but(kept), len(story.tellings), search.runs, search.runs < runs_max)


def _unseen(story: Story, kind: str, changes: Mapping[str, str] | None) -> str:
    seen = sorted({incident.kind for incident in story.run().incidents()})
    if kind in seen and changes:
        told = ", ".join(f"{key} = {value}" for key, value in changes.items())
        return f"{kind} shows with {told} as well, so no test could tell the two apart"
    others = f"; what shows is {', '.join(seen)}" if seen else ""
    return (
        f"{kind} does not show when {story.account} is run again on what came from outside alone{others}. "
        f"It may come from the machine it ran on (its disk, its clock, another process), which no test of this kind holds"
    )


class _Search:
    def __init__(
        self, story: Story, kind: str, changes: dict[str, str], runs_max: int, tried: Callable[[int, int], None]
    ) -> None:
        self._story = story
        self._kind = kind
        self._changes = changes
        self._runs_max = runs_max
        self._tried = tried
        self._known: dict[frozenset[int], bool] = {}
        self.runs = 0

    def shows(self, tellings: Sequence[Telling]) -> bool:
        """Tell whether the incident shows in these lines, and does not under the changes."""
        key = frozenset(map(id, tellings))
        if key not in self._known:
            self.runs += 1
            self._known[key] = self._seen(tellings)
            self._tried(self.runs, len(tellings))
        return self._known[key]

    def _seen(self, tellings: Sequence[Telling]) -> bool:
        if not any(telling.how == "starts" for telling in tellings):
            return False
        story = self._story.but(tellings)
        if not story.run().incidents(self._kind):
            return False
        return not self._changes or not story.run(self._changes).incidents(self._kind)

    def fewest(self) -> list[Telling]:
        """Leave out ever smaller groups of lines."""
        kept, parts = list(self._story.tellings), 2
        while len(kept) > 1 and self.runs < self._runs_max:
            size = max(1, -(-len(kept) // parts))
            groups = [kept[at : at + size] for at in range(0, len(kept), size)]
            without = self._first_without(kept, groups)
            if without is not None:
                kept, parts = without, max(2, parts - 1)
            elif size == 1:
                break
            else:
                parts = min(len(kept), 2 * parts)
        return kept

    def _first_without(self, kept: list[Telling], groups: list[list[Telling]]) -> list[Telling] | None:
        for group in groups:
            if self.runs >= self._runs_max:
                return None
            gone = set(map(id, group))
            left = [telling for telling in kept if id(telling) not in gone]
            if self.shows(left):
                return left
        return None


# ---- writing the test ------------------------------------------------------------------------------------------------

WIDTH: Final = 116


def written(found: Minimised, kind: str, summary: str, changes: Mapping[str, str] | None = None) -> str:
    """Write a pytest file that fails while the incident shows.

    Args:
        found: the incident, in a few lines.
        kind: of the incident.
        summary: what the journal says of it, in a sentence.
        changes: settings under which it does not show.
    """
    story = found.story
    lines = [f"    story.{_call(telling)}" for telling in sorted(story.tellings, key=_moment)]
    passes = f"\nIt passes with SETTINGS = {_nested(changes)}.\n" if changes else ""
    policies = f"\nPOLICIES = {pformat(story.policies, width=WIDTH, sort_dicts=False)}\n" if story.policies else ""
    given = ", policies=POLICIES" if story.policies else ""
    imports = _imports(story)
    name = kind.replace("-", "_")
    return f'''"""A {kind}, shrunk from a journal: {len(lines)} of {found.lines} lines still show it.

{_sentence(summary)}
It fails under the settings that were in force: SETTINGS, and the defaults for the rest. Change them, or what is
under test, until it passes; they nest, as in {{"circuit": {{"cooldown": "10s"}}}}.
{passes}"""

{imports}

SETTINGS = {pformat(story.settings, width=WIDTH, sort_dicts=False)}
{policies}

def test_there_is_no_{name}() -> None:
    """Times are seconds from the beginning; what is not said to go wrong goes well."""
    story = Story({_literal(story.account)}, {_literal(story.platform)}, SETTINGS{given})
{chr(10).join(lines)}

    assert not story.run().incidents({_literal(kind)})
'''


def _nested(changes: Mapping[str, str]) -> dict[str, Any]:
    """Return settings as they are written in a test: {"circuit.cooldown": "10s"} -> {"circuit": {"cooldown": "10s"}}."""
    found: dict[str, Any] = {}
    for key, value in changes.items():
        *tables, name = key.split(".")
        inner = found
        for table in tables:
            inner = inner.setdefault(table, {})
        inner[name] = value
    return found


def _sentence(text: str) -> str:
    shown = text[:1].upper() + text[1:]
    return shown if shown.endswith(".") else f"{shown}."


def _moment(telling: Telling) -> tuple[int, float]:
    first = telling.what[0] if telling.what else None
    return (1, float(first)) if isinstance(first, int | float) else (0, 0.0)


def _values(telling: Telling) -> list[Any]:
    return [value for value in (*telling.what, *telling.named.values()) if attrs.has(type(value))]


def _imports(story: Story) -> str:
    wanted: dict[str, set[str]] = {"statecore_journal.whatif.story": {"Story"}}
    for telling in story.tellings:
        if any(isinstance(value, float) and value >= FOR_EVER for value in telling.what):
            wanted["statecore_journal.whatif.story"].add("FOR_EVER")
        for value in _values(telling):
            wanted.setdefault(type(value).__module__, set()).add(type(value).__name__)
    return "\n".join(f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(wanted.items()))


def _call(telling: Telling) -> str:
    arguments = [_literal(value) for value in telling.what]
    arguments += [f"{name}={_literal(value)}" for name, value in telling.named.items()]
    line = f"{telling.how}({', '.join(arguments)})"
    if len(line) + 10 <= WIDTH:
        return line
    return f"{telling.how}(\n        " + ",\n        ".join(arguments) + ",\n    )"


def _literal(value: Any) -> str:
    """Write a value as Python; of what a class has at its default, nothing is said."""
    if isinstance(value, float) and value >= FOR_EVER:
        return "FOR_EVER"
    if isinstance(value, str):
        quoted = repr(value)
        return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in quoted else quoted
    if not attrs.has(type(value)):
        return repr(value)
    shown = []
    for field in attrs.fields(type(value)):
        held = getattr(value, field.name)
        default = field.default.factory() if isinstance(field.default, attrs.Factory) else field.default  # type: ignore[arg-type]
        if field.init and held != default:
            shown.append(f"{field.alias}={_literal(held)}")
    return f"{type(value).__name__}({', '.join(shown)})"
