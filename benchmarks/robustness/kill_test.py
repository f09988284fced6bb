"""Kill training with SIGKILL and resume it: python -m benchmarks.robustness.kill_test [--trials 50] [--seed 0].

The benchmark trains a small TextCNN with an average of its weights once without interruption. In each trial it starts
the same run, kills it at a random moment, resumes it (every second trial kills it a second time), and resumes it to the
end. The files of both runs must be equal bit by bit: the model, history.jsonl, predictions.csv, report.md, and
metrics.json except for its times; and there must be no other file. The processes are forked from a process that has
imported everything, so that a trial takes seconds. Results: benchmarks/results/kill_test.json.
"""

import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.shared import machine, make_parser, print_table, write_results
from tests.support import killing
from tests.support.commands import SMALL
from tests.support.nursery import Nursery
from tests.support.topics import topic_rows

EPOCHS, BATCH, ROWS = 4, 8, 120
OPTIONS = [*SMALL, "--train.epochs", str(EPOCHS), "--train.batch_size", str(BATCH), "--train.learning_rate", "0.02"]
OPTIONS += [
    "--train.log_steps",
    "1",
    "--train.save_steps",
    "4",
    "--train.keep_checkpoints",
    "2",
    "--train.patience",
    "3",
]
OPTIONS += ["--train.ema_decay", "0.8", "--train.precision", "fp32"]


class Trials:
    """Runs that are killed.

    Args:
        scratch: Directory of their files.
        nursery: Starts them.
        seed: Seed of the moments of the kills.
    """

    def __init__(self, scratch: Path, nursery: Nursery, seed: int) -> None:
        self.scratch = scratch
        self.nursery = nursery
        self.chosen = random.Random(seed)
        source = scratch / "topics.csv"
        source.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in topic_rows(ROWS)))
        self.train = ["train", "--data.source", str(source), *OPTIONS]
        whole = scratch / "whole"
        for directory in (scratch / "warm-up", whole):  # the first one waits for the imports
            started = time.monotonic()
            assert nursery.run([*self.train, "--output_dir", str(directory)]) == 0, nursery.said()
        self.seconds = time.monotonic() - started
        self.changes = int(nursery.log.with_suffix(".count").read_text())
        self.outcome = killing.outcome(whole)
        self.lines = self.outcome["history.jsonl"].count(b"\n")

    def at_a_step(self, arguments: list[str], directory: Path) -> int:
        """Kill it when its history has a random number of lines: after a step or an evaluation."""
        return killing.kill_at_step(self.nursery, arguments, directory, self.chosen.randint(1, self.lines))

    def after_a_time(self, arguments: list[str], directory: Path) -> int:
        """Kill it after a random time."""
        return killing.kill_after(self.nursery, arguments, self.chosen.uniform(0, self.seconds))

    def saving_a_checkpoint(self, arguments: list[str], directory: Path) -> int:
        """Kill it while it writes a checkpoint."""
        return self._while(arguments, directory, "checkpoints/.step-*.new*", 10)

    def exporting_the_model(self, arguments: list[str], directory: Path) -> int:
        """Kill it while it writes the best model."""
        return self._while(arguments, directory, ".model.new*", 1)

    def evaluating_at_the_end(self, arguments: list[str], directory: Path) -> int:
        """Kill it after its last checkpoint."""
        last = f"checkpoints/step-{(self.lines - EPOCHS):08d}"
        return killing.kill_while_writing(self.nursery, arguments, directory, last, self.chosen.uniform(0, 0.1))

    def changing_a_file(self, arguments: list[str], directory: Path) -> int:
        """Kill it just before it opens, renames or removes a file, or makes a directory."""
        return self.nursery.run(arguments, self.chosen.randint(1, self.changes))

    def _while(self, arguments: list[str], directory: Path, pattern: str, skip: int) -> int:
        # Choose one of several such moments by skipping a random number of them.
        return killing.kill_while_writing(
            self.nursery, arguments, directory, pattern, self.chosen.uniform(0, 0.004), self.chosen.randint(0, skip)
        )

    def trial(self, number: int, kind: Callable[[list[str], Path], int]) -> dict[str, Any]:
        """Kill a run, resume it to its end, and compare."""
        directory = self.scratch / f"run-{number}"
        codes = [kind([*self.train, "--output_dir", str(directory)], directory)]
        found = self._state(directory)
        if number % 2:
            codes.append(self.after_a_time(killing.go_on(self.train, directory), directory))
        codes.append(self.nursery.run(killing.go_on(self.train, directory)))
        different = ["?"] if codes[-1] else killing.differences(self.outcome, killing.outcome(directory))
        return {
            "kind": kind.__name__,
            "exit_codes": codes,
            "kills": codes.count(-9),
            "after_the_first_kill": found,
            "different": different,
            "said": self.nursery.said()[-2000:] if different else "",
        }

    def _state(self, directory: Path) -> dict[str, Any]:
        names = sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_dir())
        history = directory / killing.HISTORY
        return {
            "half_written": [name for name in names if ".new" in name],
            "checkpoints": [name for name in names if name.startswith("checkpoints/step-")],
            "lines_of_history": history.read_bytes().count(b"\n") if history.exists() else 0,
        }


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--trials", type=int, default=50, help="number of trials")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments of the kills")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, Nursery(Path(scratch) / "log") as nursery:
        trials = Trials(Path(scratch), nursery, options.seed)
        kinds = [
            trials.at_a_step,
            trials.after_a_time,
            trials.saving_a_checkpoint,
            trials.changing_a_file,
            trials.at_a_step,
            trials.exporting_the_model,
            trials.saving_a_checkpoint,
            trials.evaluating_at_the_end,
        ]
        results = []
        for number in range(options.trials):
            results.append(trials.trial(number, kinds[number % len(kinds)]))
            print(number, json.dumps(results[-1]), flush=True)
    summary = {
        kind: {
            "trials": len(of),
            "kills": sum(result["kills"] for result in of),
            "identical": sum(not result["different"] for result in of),
        }
        for kind in sorted({result["kind"] for result in results})
        for of in [[result for result in results if result["kind"] == kind]]
    }
    counts = ("trials", "kills", "identical")
    rows = [[kind.replace("_", " "), *(row[name] for name in counts)] for kind, row in summary.items()]
    rows.append(["all", *(sum(row[name] for row in summary.values()) for name in counts)])
    print_table(["first killed", "runs", "kills", "identical"], rows)
    record = {"summary": summary, "seed": options.seed, "options": OPTIONS, "environment": machine("fp32")}
    write_results("kill_test", record, options, raw=results)


if __name__ == "__main__":
    main()
