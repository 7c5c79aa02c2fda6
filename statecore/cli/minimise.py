"""`statecore minimise`."""

import os
import tempfile
from pathlib import Path

import click

from statecore.cli.common import AS_JSON, JOURNAL, console, fail, print_json
from statecore.cli.what_if import Assignment, once
from statecore.errors import StatecoreError


@click.command(
    epilog="""\b
Examples:
  statecore incidents gateway.db
  statecore minimise gateway.db --keep retry-storm -o test_retry_storm.py
  statecore minimise gateway.db --keep retry-storm --set accounts.wx.circuit.cooldown=30s -o test_retry_storm.py
""",
)
@JOURNAL
@click.option(
    "--keep", "kind", required=True, metavar="KIND", help="The kind of incident that must still show: retry-storm, ..."
)
@click.option(
    "-o", "--output", "output", type=click.Path(dir_okay=False), help="Where the test goes; else it is printed."
)
@click.option(
    "--set", "sets", type=Assignment(), multiple=True, metavar="KEY=VALUE",
    help="A setting under which the incident must not show, so that the test tells the two apart.",
)  # fmt: skip
@click.option("--account", "account", help="Only an incident of this account.")
@click.option("--plain", is_flag=True, help="Keep texts, names and ids as they are.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@AS_JSON
def minimise(
    journal: str, *, kind: str, output: str | None, sets: tuple[tuple[str, str], ...], account: str | None,
    plain: bool, force: bool, as_json: bool,
) -> None:  # fmt: skip
    """Shrink an incident in JOURNAL to the fewest things from outside that still show it, and write it as a pytest file.

    The test fails under the settings that were in force, and passes once they, or the code, are such that the incident does
    not show. Texts, names and ids are placeholders unless --plain is said, so that it can be put where others see it. JOURNAL
    may be in use, and is not changed.
    """
    if output is not None and Path(output).exists() and not force:
        fail(f"{output} is there already; name another file, or say --force to replace it")
    with tempfile.TemporaryDirectory(prefix="statecore-") as folder:
        source = journal if plain else _hidden(journal, Path(folder) / "hidden.db")
        text, told = _test(source, kind, once(sets), account, plain=plain)
    if output is None:
        if as_json:
            print_json({"path": None, "told": told, "test": text})
        else:
            click.echo(text, nl=False)
        return
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(output, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")
    if as_json:
        print_json({"path": output, "told": told, "test": text})
    else:
        console().print(f"{output}: {told}", markup=False)


def _hidden(journal: str, to: Path) -> str:
    """Write an export in which nobody can be recognised; accounts keep their names, which settings are known by."""
    from statecore.cli.sharing import packages
    from statecore_journal.export import How, export

    export(journal, to, how=How(packages=packages(), keep_accounts=True))
    return str(to)


def _test(journal: str, kind: str, sets: dict[str, str], account: str | None, *, plain: bool) -> tuple[str, str]:
    """Return the test, and what it took."""
    from statecore_journal.incidents import find, installed
    from statecore_journal.whatif import split_changes
    from statecore_journal.whatif.minimise import minimise as shrink
    from statecore_journal.whatif.minimise import written
    from statecore_journal.whatif.story import recorded_story

    if kind not in installed(lambda text: click.echo(f"statecore: {text}", err=True)):
        fail(f"there is no kind {kind!r} of incident; `statecore incidents --list` lists them")
    found = find(journal)
    incident = next((one for one in found if one.kind == kind and account in (None, one.account)), None)
    if incident is None:
        there = ", ".join(sorted({one.kind for one in found})) or "no incidents"
        raise StatecoreError(
            f"there is no {kind} in the journal{'' if account is None else f' in account {account}'}; there is {there}"
        )
    changes = split_changes(sets)
    if others := sorted(set(changes) - {incident.account}):
        raise StatecoreError(f"the incident is in account {incident.account}, and --set names account {others[0]}")
    own = changes.get(incident.account, {})
    story = recorded_story(journal, incident.account)
    with console(stderr=True).status(
        f"leaving out of {len(story.tellings)} lines what {kind} does not need ..."
    ) as shown:

        def tried(runs: int, lines: int) -> None:
            shown.update(f"{runs} runs, {lines} lines")

        result = shrink(story, kind, own, tried=tried)
    how = "" if result.complete else "; it may be shrunk further"
    told = f"{len(result.story.tellings)} of {result.lines} lines still show the {kind} (after {result.runs} runs{how})"
    hidden = "" if plain else "; texts, names and ids are placeholders"
    return written(result, kind, incident.summary, own), told + hidden
