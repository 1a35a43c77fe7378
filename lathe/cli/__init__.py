"""The command line: ``lathe``. Commands load what they need when they run, not before."""

import importlib
import logging
import sys
from collections.abc import Mapping
from getpass import getuser

import click

from catalogue.context import begin
from lathe.logs import set_up

_COMMANDS = {
    "transcode": "Press masters into a folder, without any server.",
    "check": "Measure masters, and say whether they would be taken.",
    "features": "Say what is heard in masters: tempo, key and scores.",
    "match": "Know files again that were published before.",
    "rehear": "Hear published masters again, by new recipes.",
    "inspect": "Verify pressed folders against what they declare.",
    "export": "Write renditions as files of their own, with tags and cover.",
    "serve": "Run the origin, with workers inside when the queue is inline.",
    "worker": "Run workers on the Redis queue.",
    "ingest": "Take releases in by DDEX messages.",
    "jobs": "See and steer the jobs of a plant.",
    "gc": "Remove objects that nothing refers to.",
    "keys": "Make API keys for labels, and wrap content keys anew.",
    "labels": "Say what labels demand.",
    "accounts": "Make and change the accounts of those who sign in.",
    "tracks": "Take tracks down, and let them be heard again.",
    "explain": "Say why somebody may hear a track somewhere, or may not.",
    "audit": "Say who did what.",
    "device": "Keep tracks on this machine, as a listener.",
    "play": "Play a track that this machine keeps, with no network.",
    "completion": "Print the completion script of a shell.",
}

EXIT_FAILED, EXIT_FINDINGS, EXIT_UNAVAILABLE, EXIT_INTERRUPTED = 1, 3, 4, 130


class _LazyGroup(click.Group):
    """A group whose commands are imported only when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"lathe.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lathe")
@click.option("-v", "--verbose", is_flag=True, help="Tell more on stderr.")
def _lathe(verbose: bool) -> None:
    """Cut streams from masters, and serve them."""
    begin({"actor": f"operator:{_user()}"})
    set_up("text", logging.INFO if verbose else logging.WARNING)
    if not verbose:
        logging.getLogger("alembic").setLevel(logging.WARNING)


def _user() -> str:
    try:
        return getuser()[:60]
    except (KeyError, OSError):
        return "unknown"


def main() -> None:
    """Run the command line and exit with its code."""
    from catalogue.errors import LatheError

    try:
        status = _lathe.main(standalone_mode=False)
    except click.ClickException as fault:
        fault.show()
        sys.exit(fault.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    except LatheError as fault:
        show_error(fault)
        sys.exit(exit_code(fault))
    sys.exit(status if isinstance(status, int) else 0)


def exit_code(fault: Exception) -> int:
    """Return the exit code of an error: the nearest ancestor in the table counts."""
    from catalogue import errors

    table: Mapping[type[errors.LatheError], int] = {
        errors.LatheError: EXIT_FAILED,
        errors.Unavailable: EXIT_UNAVAILABLE,
        errors.Stopped: EXIT_INTERRUPTED,
    }
    kinds = (kind for kind in type(fault).__mro__ if kind in table)
    return next((table[kind] for kind in kinds), EXIT_FAILED)


def show_error(fault: Exception, *, file: str | None = None) -> None:
    """Write an error to stderr: what, which file, the measured values, and what to do."""
    from catalogue.errors import LatheError

    where = f"{file}: " if file else ""
    if not isinstance(fault, LatheError):
        click.echo(f"lathe: {where}unexpected: {type(fault).__name__}: {fault}", err=True)
        return
    measured = ", ".join(f"{name} = {value}" for name, value in fault.measured.items())
    click.echo(f"lathe: {where}{fault.code}: {fault.title}.", err=True)
    click.echo(f"  {fault.detail}{f' ({measured})' if measured else ''}", err=True)
    click.echo(f"  {fault.advice}", err=True)
