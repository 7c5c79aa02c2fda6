"""The command line. Each command is a module; this one only lists them, so that help comes up quickly."""

import importlib
from typing import Any, Final

import click

from statecore.cli.common import failing_clearly

COMMANDS: Final = {
    "demo": ("statecore.cli.demo", "demo", "See it work: five incidents against simulated platforms."),
    "run": ("statecore.cli.run", "run", "Run a gateway."),
    "restart": ("statecore.cli.restart", "restart", "Take over from the process that runs a gateway."),
    "send": ("statecore.cli.send", "send", "Send a message, from any process."),
    "login": ("statecore.cli.login", "login", "Log in to a platform."),
    "status": ("statecore.cli.read", "status", "Show where everything is, and why."),
    "log": ("statecore.cli.read", "log", "Show what happened, a line an event."),
    "follow": ("statecore.cli.follow", "follow", "Show what happens, as it happens."),
    "why": ("statecore.cli.why", "why", "Show what led to a row, and what it set off."),
    "incidents": ("statecore.cli.incidents", "incidents", "Name what went wrong, and what to change."),
    "report": ("statecore.cli.report", "report", "Write a journal as one file to look at, offline."),
    "inspect": ("statecore.cli.report", "inspect", "Look at a journal in a browser while it is being written."),
    "what-if": ("statecore.cli.what_if", "what_if", "Run what is recorded again, with other settings."),
    "minimise": ("statecore.cli.minimise", "minimise", "Shrink an incident to a test."),
    "sim": ("statecore.cli.sim", "sim", "Simulate whole gateways under faults drawn from a seed."),
    "replay": ("statecore.cli.replay", "replay", "Show where everything was at some moment."),
    "verify": ("statecore.cli.verify", "verify", "Tell whether this code does what journals record."),
    "check": ("statecore.cli.check", "check", "Explore machines exhaustively, your own or the shipped ones."),
    "diff": ("statecore.cli.diff", "diff", "Show where two journals part, or two versions of machines."),
    "diagram": ("statecore.cli.diagram", "diagram", "Draw a machine."),
    "coverage": ("statecore.cli.diagram", "coverage", "Show which transitions a journal took, and which never."),
    "timeline": ("statecore.cli.diagram", "timeline", "Draw what happened over time."),
    "resume": ("statecore.cli.resume", "resume", "Try an account or a chat again now, whatever it waits for."),
    "dead": ("statecore.cli.dead", "dead", "List, show, retry and purge what was given up."),
    "export": ("statecore.cli.export", "export", "Write what happened to a file that can be shown to others."),
    "prune": ("statecore.cli.prune", "prune", "Take out of a journal what is over and old."),
}


class _Lazy(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, _, about) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        with failing_clearly():
            return super().invoke(ctx)


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with `statecore demo`. Exit status: 0 it worked, 1 it did not, 2 the command line makes no sense.",
)
@click.version_option(package_name="statecore", message="statecore %(version)s")
def main() -> None:
    """Chat connections and deliveries as state machines, journaled before anything acts on them."""
