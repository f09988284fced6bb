"""Kill training with SIGKILL and resume it: python -m benchmarks.kill_test [--trials 50] [--seed 0].

One run of a small TextCNN, with an average of its weights, is left alone. Then the same run is started again and again,
killed at a moment that a seed draws, resumed (in every second trial killed once more), and resumed to its end. All that
it leaves must be what the undisturbed run left, bit by bit: the model, history.jsonl, predictions.csv, report.md, and
metrics.json but for its times; and nothing else may be there. The processes are forked from one that has imported
everything, so that a trial takes seconds. The table goes to standard output, everything else to
benchmarks/results/kill_test.json.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import killing
from tests.support.commands import SMALL
from tests.support.topics import topic_rows

RESULTS = Path(__file__).resolve().parent / "results" / "kill_test.json"
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
        scratch: Directory for all that they write.
        nursery: Starts them.
        seed: Seed of the moments.
    """

    def __init__(self, scratch: Path, nursery: killing.Nursery, seed: int) -> None:
        self.scratch = scratch
        self.nursery = nursery
        self.chosen = random.Random(seed)
        source = scratch / "topics.csv"
        source.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in topic_rows(ROWS)))
        self.train = ["train", "--data.source", str(source), *OPTIONS]
        started = time.monotonic()
        whole = scratch / "whole"
        assert nursery.run([*self.train, "--output_dir", str(whole)]) == 0, nursery.said()
        self.seconds = time.monotonic() - started
        self.changes = int(nursery.log.with_suffix(".count").read_text())
        self.outcome = killing.outcome(whole)
        self.lines = self.outcome["history.jsonl"].count(b"\n")

    def at_a_step(self, arguments: list[str], directory: Path) -> int:
        """Kill it once its history has a random number of lines: at steps, and between them and the evaluations."""
        return killing.kill_at_step(self.nursery, arguments, directory, self.chosen.randint(1, self.lines))

    def after_a_time(self, arguments: list[str], directory: Path) -> int:
        """Kill it at any time of its life."""
        return killing.kill_after(self.nursery, arguments, self.chosen.uniform(0, self.seconds))

    def saving_a_checkpoint(self, arguments: list[str], directory: Path) -> int:
        """Kill it while it writes a checkpoint."""
        return self._while(arguments, directory, "checkpoints/.step-*.new*", 10)

    def exporting_the_model(self, arguments: list[str], directory: Path) -> int:
        """Kill it while it writes the best model."""
        return self._while(arguments, directory, ".model.new*", 1)

    def evaluating_at_the_end(self, arguments: list[str], directory: Path) -> int:
        """Kill it between its last checkpoint and its end."""
        last = f"checkpoints/step-{(self.lines - EPOCHS):08d}"
        return killing.kill_while_writing(self.nursery, arguments, directory, last, self.chosen.uniform(0, 0.1))

    def changing_a_file(self, arguments: list[str], directory: Path) -> int:
        """Kill it just before it opens, renames or removes a file, or makes a directory."""
        return self.nursery.run(arguments, self.chosen.randint(1, self.changes))

    def _while(self, arguments: list[str], directory: Path, pattern: str, skip: int) -> int:
        # Of several such moments any one: each is passed over with a chance.
        return killing.kill_while_writing(
            self.nursery, arguments, directory, pattern, self.chosen.uniform(0, 0.004), self.chosen.randint(0, skip)
        )

    def trial(self, number: int, kind: Callable[[list[str], Path], int]) -> dict[str, Any]:
        """Kill a run, go on with it to its end, and compare."""
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, killing.Nursery(Path(scratch) / "log") as nursery:
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
    from textmix.runs.environment import environment

    summary = {
        kind: {
            "trials": len(of),
            "kills": sum(result["kills"] for result in of),
            "identical": sum(not result["different"] for result in of),
        }
        for kind in sorted({result["kind"] for result in results})
        for of in [[result for result in results if result["kind"] == kind]]
    }
    written = {"summary": summary, "seed": options.seed, "options": OPTIONS, "trials": results}
    RESULTS.write_text(json.dumps({**written, "environment": environment("fp32")}, indent=1) + "\n")
    print("| first killed | runs | kills | identical |\n| --- | --- | --- | --- |")
    for kind, row in summary.items():
        print(f"| {kind.replace('_', ' ')} | {row['trials']} | {row['kills']} | {row['identical']} |")
    print(f"| all | {len(results)} | {sum(r['kills'] for r in results)} | {sum(not r['different'] for r in results)} |")


if __name__ == "__main__":
    main()
