"""The entry point: registers the commands and turns errors into one sentence and an exit code."""

import faulthandler
import os
import sys
import warnings
from importlib.metadata import version
from typing import Annotated

import typer

from ..core.errors import InputError
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
    info,
    lint,
    models,
    predict,
    prune,
    quantize,
    quickstart,
    recipe,
    shards,
    targets,
    train,
)

app = typer.Typer(
    help="Reference convolutional networks by name: train, shrink, and export them with proof.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("list")(models.list_models)
app.command()(info.info)
app.command()(data.data)
app.command()(shards.shards)
app.command()(recipe.recipe)
app.command()(find_lr.find_lr)
app.command()(train.train)
app.command()(fine_tune.fine_tune)
app.command()(evaluate.evaluate)
app.command()(advise.advise)
app.command()(prune.prune)
app.command()(cluster.cluster)
app.command()(quantize.quantize)
app.command()(distill.distill)
app.command()(compress.compress)
app.command()(lint.lint)
app.command()(export.export)
app.command()(targets.targets)
app.command()(predict.predict)
app.command()(benchmark.benchmark)
app.command()(quickstart.quickstart)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"pocketzoo {version('pocketzoo')}")
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show converters' chatter and tracebacks.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Download nothing; weights must be in the cache or the package.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command."""
    os.environ["POCKETZOO_VERBOSE"] = "1" if verbose else ""
    if offline:
        os.environ["POCKETZOO_OFFLINE"] = "1"
    if not verbose:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it when it is imported


def main() -> None:
    """Runs the command line.

    Exits with 0, with 2 for a mistake of the user's, with 1 for one of ours, or with 130 where it was interrupted.
    """
    if not faulthandler.is_enabled():
        # Where a converter aborts the process, it says in which. On a descriptor of its own: the other may be silenced.
        faulthandler.enable(os.dup(2))
    if not os.environ.get("POCKETZOO_VERBOSE"):
        warnings.formatwarning = lambda message, *_: f"Warning: {message}\n"  # without the line of code that warns
    try:
        app()
    except SystemExit as end:
        if end.code == 130:
            print("Interrupted. A run with --run-dir goes on with --resume.", file=sys.stderr)
        raise
    except (InputError, OSError) as error:
        _fail(error, 2)
    except Exception as error:
        _fail(error, 1)


def _fail(error: Exception, code: int) -> None:
    if os.environ.get("POCKETZOO_VERBOSE"):
        raise error
    name = "" if isinstance(error, InputError | OSError | RuntimeError) else f"{type(error).__name__}: "
    print(f"Error: {name}{error}", file=sys.stderr)
    sys.exit(code)
