"""`statecore what-if`."""

import json
from typing import Any, Final, Literal

import click
from rich.table import Table
from rich.text import Text

from statecore.cli.common import AS_JSON, JOURNAL, console, paint, plain, print_json, printable
from statecore.cli.fields import show_fields
from statecore.errors import ConfigError
from statecore.units import show_duration

BAR: Final = 28
"""Characters of the longest bar of a plot."""


class Assignment(click.ParamType[tuple[str, str]]):
    """KEY=VALUE."""

    name = "assignment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not (key.strip() and equals and text.strip()):
            self.fail(f"{value!r} is no KEY=VALUE, such as accounts.wx.circuit.cooldown=10s", param, ctx)
        return key.strip(), text.strip()


@click.command(
    "what-if",
    epilog="""\b
Examples:
  statecore what-if gateway.db
  statecore what-if gateway.db --set accounts.wx.circuit.cooldown=10s
  statecore what-if gateway.db --set accounts.wx.pacing.per_second=2 --set accounts.wx.pacing.burst=5
  statecore what-if gateway.db --sweep accounts.wx.circuit.cooldown=1s,5s,10s,30s

The keys are those of the configuration file. Without --set and --sweep every account is run again as it was, which shows
that the journal can be believed.
""",
)
@JOURNAL
@click.option(
    "--set", "sets", type=Assignment(), multiple=True, metavar="KEY=VALUE", help="A setting that is to be another."
)
@click.option(
    "--sweep", "sweeps", type=Assignment(), multiple=True, metavar="KEY=V1,V2,...",
    help="A setting that is to take each of these values; with several, every combination.",
)  # fmt: skip
@click.option("--account", "account", help="Only this account.")
@click.option(
    "--assume", type=click.Choice(["seen", "worst"]), default="seen", show_default=True,
    help="How long a refusal goes on: until it was last seen, or until the platform was next seen to accept.",
)  # fmt: skip
@AS_JSON
def what_if(
    journal: str, *, sets: tuple[tuple[str, str], ...], sweeps: tuple[tuple[str, str], ...], account: str | None,
    assume: Literal["seen", "worst"], as_json: bool,
) -> None:  # fmt: skip
    """Run what is recorded in JOURNAL again, with other settings.

    The messages, answers, outages, crashes and restarts that came from outside come again at the times at which they came;
    the machines and policies are those of the gateway; time is virtual, and nothing is sent. What the platform was never
    asked it answers by what is on record: it refuses when it was seen to refuse. Everything from the first such answer on is
    marked. JOURNAL may be in use, and is not changed.
    """
    from statecore.config import account_classes
    from statecore_journal.whatif import grid, split_changes, subjects

    known = account_classes()
    fixed = split_changes(once(sets))
    swept = {key: _values(key, text) for key, text in once(sweeps).items()}
    accounts = _concerned(account, fixed, split_changes(dict.fromkeys(swept, "")))
    with subjects(journal, accounts, known) as found:
        compared = []
        for point in grid(swept):
            changes = split_changes(once(sets) | point)
            for subject in found:
                name = subject.recording.account
                if not swept or any(name in split_changes({key: ""}) for key in point):
                    compared.append(subject.ask(changes.get(name, {}), assume))
    if as_json:
        print_json([_as_json(one) for one in compared])
    elif swept:
        _show_sweep(compared, list(swept))
    else:
        for one in compared:
            _show(one)


def once(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Return settings by key; each may be given once."""
    found: dict[str, str] = {}
    for key, value in pairs:
        if key in found:
            raise ConfigError(key, "is given twice; --sweep tries several values")
        found[key] = value
    return found


def _values(key: str, text: str) -> tuple[str, ...]:
    values = tuple(value.strip() for value in text.split(",") if value.strip())
    if not values:
        raise ConfigError(key, "has no values; write them with commas between them")
    return values


def _concerned(account: str | None, *changes: dict[str, Any]) -> list[str] | None:
    named = sorted({name for one in changes for name in one})
    if account is None:
        return named or None
    if others := [name for name in named if name != account]:
        raise ConfigError(f"accounts.{others[0]}", f"is not the account that was asked for, {account!r}")
    return [account]


# ---- one run ---------------------------------------------------------------------------------------------------------

_ROWS: Final = (
    ("accepted", "messages taken on"),
    ("delivered", "delivered"),
    ("delay", "  half of them within"),
    ("delay_max", "  the last within"),
    ("waiting", "still waiting at the end"),
    ("dead", "dead"),
    ("expired", "expired"),
    ("doubled", "possibly doubled"),
    ("requests", "requests"),
    ("refused", "  refused"),
    ("down", "not connected"),
    ("trouble", "first failure until all was over"),
)
_DURATIONS: Final = frozenset({"delay", "delay_max", "down", "trouble"})


def _show(one: Any) -> None:
    out = console()
    told = ", ".join(f"{key} = {value}" for key, value in one.changes.items()) or "nothing changed"
    out.print(Text(f"\n{one.account}: ", style="bold").append(told, style="not bold"))
    if one.strayed is not None:
        where = _place(one.strayed, one.began)
        out.print(
            Text(f"  With nothing changed this code does not do what was recorded, from {where} on.", style="yellow")
        )
    table = Table(box=None, padding=(0, 2))
    for heading, justify in (("", "left"), ("as recorded", "right"), ("as it would have been", "right")):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for name, label in _ROWS:
        was, found = getattr(one.recorded, name), getattr(one.changed, name)
        if was or found or name in ("accepted", "delivered"):
            style = "bold" if was != found else ""
            table.add_row(label, _value(name, was), Text(_value(name, found), style=style))
    out.print(table)
    _show_parting(one)


def _show_parting(one: Any) -> None:
    from statecore_journal.whatif import written

    out = console()
    if one.parting is None:
        out.print(f"  All {one.rows} transitions are as they were recorded.")
        return
    out.print(f"  They part at {_place(one.parting.at, one.began)}:")
    recorded, computed = one.parting.recorded, one.parting.computed
    fields = _differing(recorded, computed)
    for label, step in (("recorded", recorded), ("would be", computed)):
        line = Text(f"    {label}  ")
        if step is None:
            line.append("nothing")
        else:
            line.append(f"{printable(step.address)}  ").append_text(paint(step.source)).append(" → ")
            line.append_text(paint(step.target)).append(f"  {step.name} ", style="bold")
            told = written(step) if fields is None else show_fields({name: _data(step).get(name) for name in fields})
            line.append(printable(told.strip(), 160), style="dim")
        out.print(line)
    if one.modelled is not None:
        since = show_duration(max(1, one.modelled - one.began))
        out.print(f"  Counterfactual from {since} on: from there it rests on answers that are not on record.")


def _differing(recorded: Any, computed: Any) -> list[str] | None:
    """Return the fields in which two events of a name differ; None where there is more to tell than that."""
    if recorded is None or computed is None or recorded.name != computed.name or recorded.address != computed.address:
        return None
    was, found = _data(recorded), _data(computed)
    return [name for name in {**was, **found} if was.get(name) != found.get(name)] or None


def _data(step: Any) -> dict[str, Any]:
    from statecore_journal.whatif import written

    try:
        data = json.loads(written(step))
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _place(at: int, began: int) -> str:
    return f"{show_duration(max(0, at - began))} after the start"


def _value(name: str, value: Any) -> str:
    if value is None:
        return "-"
    return show_duration(value) if name in _DURATIONS else str(value)


def _as_json(one: Any) -> dict[str, Any]:
    shown = {key: value for key, value in plain(one).items() if key not in ("steps", "parting", "strayed")}
    return {
        **shown,
        "reproduced": one.strayed is None,
        "parting": None if one.parting is None else _parting_as_json(one.parting),
    }


def _parting_as_json(parting: Any) -> dict[str, Any]:
    def step(one: Any) -> dict[str, Any] | None:
        return None if one is None else plain(one._asdict())

    return {"at": parting.at, "recorded": step(parting.recorded), "computed": step(parting.computed)}


# ---- a sweep ---------------------------------------------------------------------------------------------------------


def _show_sweep(compared: list[Any], keys: list[str]) -> None:
    out = console()
    for name in dict.fromkeys(one.account for one in compared):
        own = [one for one in compared if one.account == name]
        settings = [key.split(".", 2)[2] for key in keys if key.split(".", 2)[1] == name]
        table = Table(box=None, padding=(0, 1), title=f"\n{name}", title_justify="left", title_style="bold")
        table.add_column(", ".join(key.rpartition(".")[2] for key in settings), justify="right", no_wrap=True)
        for heading in ("delivered", "half in", "last in", "refused", "dead", "waiting", "over in"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_row("as it was", *_cells(own[0].recorded), style="dim")
        for one in own:
            table.add_row(_label(one, settings), *_cells(one.changed))
        out.print(table)
        _plot(own, settings)


def _label(one: Any, settings: list[str]) -> str:
    return ", ".join(one.changes.get(key, "") for key in settings)


def _cells(found: Any) -> list[str]:
    return [
        f"{found.delivered} of {found.accepted}", _value("delay", found.delay), _value("delay_max", found.delay_max),
        str(found.refused), str(found.dead), str(found.waiting), _value("trouble", found.trouble),
    ]  # fmt: skip


def _plot(own: list[Any], settings: list[str]) -> None:
    """Show what is won and what it costs, side by side."""
    out = console()
    times = [one.changed.trouble if one.changed.trouble is not None else one.changed.delay_max for one in own]
    longest, most = max((time or 0 for time in times), default=0), max(one.changed.refused for one in own)
    labels = [_label(one, settings) for one in own]
    width = max(map(len, labels))
    out.print(f"\n  {'':{width}}  {'over in':<{BAR + 10}}refused")
    for one, time, label in zip(own, times, labels, strict=True):
        bar = "never" if time is None else f"{_bar(time, longest)} {show_duration(time)}"
        out.print(f"  {label:>{width}}  {bar:<{BAR + 10}}{_bar(one.changed.refused, most)} {one.changed.refused}")


def _bar(value: float, longest: float) -> str:
    return "█" * max(1 if value else 0, round(BAR * value / longest)) if longest else ""
