"""`statecore demo`: the main job over real sockets, and five incidents it was built for."""

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from statecore.cli.common import AS_JSON, console, fail, print_json, run_async
from statecore.cli.demo.display import Scene


@click.command(
    epilog="""\b
Examples:
  statecore demo
  statecore demo --journal demo.db && statecore log demo.db --last 30
"""
)
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path), help="Where the journal goes (a new file).")
@click.option("--brief", is_flag=True, help="Shorter outages: about 25 seconds instead of a minute.")
@AS_JSON
def demo(*, journal: Path | None, brief: bool, as_json: bool) -> None:
    """Run a gateway against a simulated WeChat and a simulated QQ over real sockets, and replay five incidents that
    killed others.

    WeChat refuses everything for a while; it goes on refusing for longer than any fixed number of retries; it refuses
    tokens that have gone stale with the code of a rate limit; the process is restarted while the old one still holds the
    accounts; and QQ hangs up and is away for a while. Nothing leaves this machine.
    """
    if journal is not None and journal.exists():
        raise click.UsageError(f"{journal} exists; name a new file, or leave --journal out")
    if importlib.util.find_spec("h11") is None:
        fail("the simulators need h11: pip install 'statecore[simulator]'")
    from statecore.cli.demo.scenes import play  # the simulators take a while to import

    folder = Path(tempfile.mkdtemp(prefix="statecore-demo-"))
    path = journal.absolute() if journal is not None else folder / "gateway.db"
    told = False
    try:
        scenes = run_async(lambda: play(path, folder, brief=brief, quiet=as_json))
        told = journal is None
    finally:
        if not told:  # then nobody will look into it
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json({"journal": str(path), "scenes": scenes, "survived": all(scene.survived for scene in scenes)})
    else:
        _report(scenes, path)
    sys.exit(0 if all(scene.survived for scene in scenes) else 1)


def _report(scenes: list[Scene], path: Path) -> None:
    out = console()
    table = Table(title="what came of it", title_justify="left", title_style="bold")
    table.add_column("incident")
    for heading in ("accepted", "delivered", "refused", "duplicates", "order", "took"):
        table.add_column(heading, justify="right")
    for scene in scenes:
        table.add_row(
            scene.title, str(scene.accepted), Text(str(scene.delivered), style="green" if scene.survived else "red"),
            str(scene.refused), str(scene.duplicates), "kept" if scene.in_order else "broken", f"{scene.seconds:.0f} s",
        )  # fmt: skip
    out.print()
    out.print(table)
    out.print("\nEvery step is in the journal. Read on with:", markup=False)
    us = _us()
    for command, what in (
        (f"{us} status {path}", "where everything is, and why"),
        (f"{us} incidents {path}", "what went wrong, what it cost, and what to change"),
        (f"{us} inspect {path}", "all of it, in a browser"),
        (f"{us} log {path} --machine circuit", "how the circuits opened, probed and closed"),
        (f"{us} log {path} --event PartRefused", "every refusal, how it was read, and on what evidence"),
        (f"{us} log {path} --machine connection", "who drove the account, and when it changed hands"),
        (f"{us} log {path} --machine session", "how the socket was lost, waited for and resumed"),
    ):
        out.print(f"  {command}", style="bold", markup=False)
        out.print(f"      {what}", style="dim", markup=False)


def _us() -> str:
    """Return how this command was, or can be, called."""
    if shutil.which("statecore"):
        return "statecore"
    return f"{sys.executable} -m statecore" if sys.argv[0].endswith(".py") else sys.argv[0]
