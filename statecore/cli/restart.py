"""`statecore restart`, and the options by which an owner is replaced."""

import click

from statecore.cli.run import replacing_from, run_gateway_of, waiting_options

EPILOG = """\b
Examples:
  statecore restart gateway.toml
  statecore restart gateway.toml --patience 1m --grace 30s

Under systemd, leave it to systemd, which starts what it has stopped:
  systemctl restart statecore@gateway

Exit status: 0 it ran and was stopped, or was itself replaced; 1 it could not run; 2 the command line makes no sense.
"""


@click.command(epilog=EPILOG)
@click.argument("config", type=click.Path(dir_okay=False))
@waiting_options
@click.option("--quiet", is_flag=True, help="Say nothing but warnings.")
def restart(config: str, *, patience: str | None, grace: str | None, quiet: bool) -> None:
    """Take over from the process that runs the gateway that CONFIG describes, and run it here.

    The same as `statecore run --replace`. The process that drives the accounts is asked to hand them over. It takes no new
    work, sees to their end the sends that are under way, lets go and ends; it is waited for as long as it shows a sign of
    life. One that has stopped answering is ended by SIGTERM, then by SIGKILL, if the kernel says that it is the process
    that holds the account. If nobody runs the gateway, it is simply run. Nothing is lost in this. What was being sent at the
    very moment at which its process was killed is sent once more at most, and is recorded as possibly doubled.
    """
    run_gateway_of(config, quiet=quiet, replacing=replacing_from(patience, grace))
