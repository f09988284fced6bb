"""Entry point of the command line: dispatches to the commands and maps errors to exit codes."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import TextIOWrapper

import textmix
from textmix.cli.adapt import adapt
from textmix.cli.compare import compare
from textmix.cli.crossval import crossval
from textmix.cli.data import data
from textmix.cli.ensemble import ensemble
from textmix.cli.evaluate import evaluate
from textmix.cli.export import export
from textmix.cli.inspect import inspect
from textmix.cli.label import label
from textmix.cli.listing import datasets, models, strategies
from textmix.cli.predict import predict
from textmix.cli.recipes import recipes
from textmix.cli.sweep import sweep
from textmix.cli.terminal import abandon_output, logging_to_standard_output
from textmix.cli.train import train
from textmix.errors import ConfigError, RunError, RunFinished, TextmixError, TrainingInterrupted, did_you_mean, one_line
from textmix.runs.launcher import is_local_main_process, process_count
from textmix.training.interrupt import Terminated, terminable

WRONG_INPUT = 2
# The exit codes that a shell reports for SIGINT, SIGTERM and SIGPIPE: 128 plus the number of the signal.
INTERRUPTED, TERMINATED, BROKEN_PIPE = 130, 143, 141
_SIGNALLED = 128
_EXIT_CODES = f"""exit codes:
  0    done
  {WRONG_INPUT}    wrong input; one line on standard error names the problem
  {INTERRUPTED}  interrupted by Ctrl-C; `train` saves a checkpoint first, a second Ctrl-C stops it at once
  {TERMINATED}  terminated by SIGTERM; `train` saves a checkpoint first
  {BROKEN_PIPE}  broken pipe"""


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Args:
        run: The function that runs it; takes the arguments after the command's name.
        summary: Its description in one line.
    """

    run: Callable[[list[str]], None]
    summary: str


COMMANDS = {
    command.__name__: Command(command, (command.__doc__ or "").splitlines()[0])
    for command in (
        train,
        evaluate,
        predict,
        export,
        adapt,
        label,
        compare,
        crossval,
        ensemble,
        sweep,
        data,
        inspect,
        recipes,
        datasets,
        models,
        strategies,
    )
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None means `sys.argv[1:]`.

    Returns:
        Exit code: 0, 2 for wrong input, 130 when interrupted, 143 when terminated, 141 for a broken pipe.
    """
    if isinstance(sys.stdout, TextIOWrapper):  # escape characters that the locale cannot encode
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            with terminable(), logging_to_standard_output():
                return _run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()  # here, so that the handlers below see its errors
    except BrokenPipeError:
        abandon_output()
        return BROKEN_PIPE
    except TrainingInterrupted as interruption:
        _print_error(f"textmix: {interruption}")
        return _SIGNALLED + interruption.number
    except RunFinished as finished:
        if is_local_main_process():
            print(f"textmix: {finished}")
        return 0
    except TextmixError as error:
        _print_error(f"textmix: error: {one_line(str(error))}")
        return WRONG_INPUT
    except OSError as error:
        what = f"{error.filename or 'cannot read or write'}: {error.strerror or error}"
        _print_error(f"textmix: error: {one_line(what)}")
        return WRONG_INPUT
    except KeyboardInterrupt as interruption:
        _print_error("textmix: interrupted")
        return TERMINATED if isinstance(interruption, Terminated) else INTERRUPTED


def _print_error(line: str) -> None:
    """Print a line on standard error, from the first process of a machine only."""
    if is_local_main_process():
        # The progress bar of another process may have left its line open.
        print("\n" * (process_count() > 1) + line, file=sys.stderr)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else WRONG_INPUT
    if arguments[0] == "--version":
        print(f"textmix {textmix.__version__}")
        return 0
    if arguments[0] not in COMMANDS:
        raise ConfigError(f"unknown command '{arguments[0]}'{did_you_mean(arguments[0], COMMANDS)}")
    if arguments[0] != train.__name__ and process_count() > 1:
        raise RunError(f"textmix {arguments[0]} runs in one process; only textmix train runs in several")
    COMMANDS[arguments[0]].run(arguments[1:])
    return 0


def _usage() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items())
    return (
        "usage: textmix COMMAND [OPTIONS]\n\nText classification with mixing.\n\ncommands:\n"
        f"{commands}\n\noptions:\n  -h, --help  show this help; `textmix COMMAND --help` explains a command's options\n"
        f"  --version   show the version\n\n{_EXIT_CODES}"
    )
