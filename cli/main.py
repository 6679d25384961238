"""The entry point: registers the commands, and turns errors into one sentence and an exit code."""

import faulthandler
import os
import sys
import traceback
import warnings
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ..core.errors import InputError
from ..core.limits import check_environment
from ..core.output_capture import STANDARD_ERROR, duplicate_descriptor
from ..core.visible_text import visible
from ..export.targets import list_targets
from . import (
    advise,
    benchmark,
    cluster,
    compress,
    data,
    distill,
    evaluate,
    export,
    find_lr,
    fine_tune,
    fit_anomaly,
    info,
    lint,
    list_models,
    predict,
    prune,
    prune_channels,
    quantize,
    quickstart,
    recipe,
    shards,
    targets,
    train,
)
from .option_groups import with_option_groups, with_own_directory
from .standard_streams import visible_streams


class Command(TyperCommand):
    """A command that tells how several values of one option are written, where they are taken for arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; raises InputError where some are left."""
        ctx.allow_extra_args = True
        left = super().parse_args(ctx, args)
        if left:
            names = [str(name).strip(",") for name in (ctx.params.get("model"), *left) if name]
            several = any(name in list_targets() for name in names) and "targets" in ctx.params
            hint = "; separate targets by commas, without blanks: --targets mobile-cpu,web" if several else ""
            raise InputError(f"unexpected argument{'s' * (len(left) > 1)} {' '.join(map(visible, left))}{hint}.")
        return left


app = typer.Typer(
    help="Reference convolutional networks by name: train, compress and export them, validated on real runtimes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("list")(list_models.list_models)
for command in (
    info.info,
    data.data,
    shards.shards,
    recipe.recipe,
    find_lr.find_lr,
    train.train,
    fine_tune.fine_tune,
    fit_anomaly.fit_anomaly,
    evaluate.evaluate,
    advise.advise,
    prune.prune,
    prune_channels.prune_channels,
    cluster.cluster,
    quantize.quantize,
    distill.distill,
    compress.compress,
    lint.lint,
    export.export,
    targets.targets,
    predict.predict,
    benchmark.benchmark,
    quickstart.quickstart,
):
    app.command(cls=Command)(with_option_groups(with_own_directory(command)))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"pocketzoo {version('pocketzoo')}")
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show converters' log messages, and tracebacks.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Download nothing; weights must be in the cache or the package.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Set the options that apply to every command."""
    check_environment()
    os.environ["POCKETZOO_VERBOSE"] = "1" if verbose else ""
    if offline:
        os.environ["POCKETZOO_OFFLINE"] = "1"
    if not verbose:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it when it is imported


def main() -> None:
    """Run the command line.

    Exits with 0, with 2 for a mistake by the user, with 1 for any other failure, or with 130 if interrupted.
    """
    with visible_streams():
        if not faulthandler.is_enabled() and (stderr := duplicate_descriptor(STANDARD_ERROR)) is not None:
            # Prints the stack if a converter aborts the process, to a copy of the descriptor, as stderr may be
            # redirected.
            faulthandler.enable(stderr)
        if not os.environ.get("POCKETZOO_VERBOSE"):
            warnings.formatwarning = lambda message, *_: f"Warning: {message}\n"  # without the line of code
            warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged metadata, without the name of the file
        _run()


def _run() -> None:
    """Run the command and exit; errors become one sentence and an exit code."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # where the disk is full, it shows now
    except SystemExit as end:
        if end.code == 130:
            print("Interrupted. Add --resume to continue a run with --run-dir.", file=sys.stderr)
        raise
    except (InputError, OSError) as error:
        _fail(error, 2)
    except MemoryError as error:
        _fail(InputError(f"there is not enough memory: {error}" if str(error) else "there is not enough memory."), 2)
    except Exception as error:
        _fail(error, 1)


def _fail(error: Exception, code: int) -> None:
    if os.environ.get("POCKETZOO_VERBOSE"):
        traceback.print_exception(error)
        sys.exit(code)
    name = "" if isinstance(error, InputError | OSError | RuntimeError) else f"{type(error).__name__}: "
    sentence = " ".join(str(error).split("\n"))  # the name of a file can have a line break and a message of its own
    print(f"Error: {name}{sentence}", file=sys.stderr)
    sys.exit(code)
