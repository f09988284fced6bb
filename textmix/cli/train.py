"""`textmix train`."""

from dataclasses import replace
from pathlib import Path

from textmix.cli.common import print_evaluation
from textmix.config.parsing import TRUST, check_trust, parse, read_run_config, run_parser, to_run_config, with_recipe
from textmix.errors import ConfigError
from textmix.io.quiet import quiet_libraries


def train(arguments: list[str]) -> None:
    """Train, evaluate, and write a run directory."""
    parser = run_parser("textmix train", "Train a classifier with mixing: textmix train [RECIPE.yaml] [OPTIONS]")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing run in output_dir")
    parser.add_argument(
        "--resume",
        metavar="RUN",
        default=None,
        help="resume an interrupted run (takes no other options)",
    )
    arguments = with_recipe(arguments)
    overwrite = resume = False
    if any(argument.split("=")[0] == "--resume" for argument in arguments):
        words = [part for word in arguments for part in (word.split("=", 1) if word.startswith("--") else [word])]
        if len(words) not in (2, 4) or words[0] != "--resume" or words[2:] not in ([], [TRUST, "true"]):
            raise ConfigError(
                f"--resume takes the directory of a run and no other options except {TRUST} true; the options are in"
                " its config.yaml"
            )
        config, resume = replace(read_run_config(Path(words[1])), output_dir=words[1]), True
    else:
        namespace = parse(parser, arguments)
        namespace.pop("resume")
        overwrite = namespace.pop("overwrite")
        config = to_run_config(parser, namespace)

    config = check_trust(config, arguments)

    quiet_libraries()
    from textmix.runs import train as run
    from textmix.training.cpu.memory import keep_memory

    if config.train.cpu_speedups:
        keep_memory()
    result = run.train(config, overwrite=overwrite, resume=resume)
    if result is None:  # another process evaluates
        return
    if result.test is not None:
        print_evaluation(result.test, "test")
    else:
        print("no test split (data.test_fraction 0); textmix evaluate scores other labelled rows")
    print(f"saved to {result.directory}")
