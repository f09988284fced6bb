"""What does choosing the rows to label gain? python -m benchmarks.active_learning --data DIRECTORY.

Simulates `textmix label` on TREC, MR and R8: from 2000 training rows whose labels are hidden, rows are labelled in
rounds, at first 4 times as many as classes at random, then those that the model of the last round chooses. After each
round the recipe `few_labels/minilm` is trained on the labelled rows alone and scored on test rows. `random` chooses all
rows at random, up to 20 times as many as classes. Each point adds a line to runs/benchmarks/active_learning.jsonl;
`--summary` writes benchmarks/results/active_learning.json.
"""

import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.few_labels import MAX_LENGTH, POOL, RECIPE, corpus, score
from benchmarks.shared import (
    RAW,
    Row,
    make_parser,
    mean_of,
    print_table,
    read_lines,
    train_predictor,
    write_results,
    write_rows,
)

LINES = RAW / "active_learning.jsonl"
# Labels, as a multiple of the number of classes, after each round.
ROUNDS = {"random": (4, 8, 12, 20), "margin": (4, 8, 12), "diversity": (4, 8, 12), "both": (4, 8, 12)}


def train(rows: list[Row], seed: int, scratch: str) -> Any:
    """Train the recipe on labelled rows; returns the predictor."""
    given = ["--config", RECIPE, "--data.source", write_rows(Path(scratch) / "train.csv", rows)]
    given += ["--model.max_length", str(MAX_LENGTH), "--train.seed", str(seed), "--output_dir", f"{scratch}/run"]
    return train_predictor(given)[0]


def choose(predictor: Any, pool: list[Row], labeled: list[int], criterion: str, count: int, seed: int) -> list[int]:
    """Choose rows of the pool that have no label yet."""
    import pyarrow as pa

    from textmix.active_learning.candidates import find_candidates
    from textmix.active_learning.choice import choose_rows

    rest = sorted({*range(len(pool))} - {*labeled})
    table = pa.table({"text": [pool[row][0] for row in rest], "row": rest})
    found = find_candidates(predictor, [table], (), criterion, seed)  # type: ignore[arg-type]
    chosen = choose_rows(criterion, found.probabilities, found.vectors, count, seed)  # type: ignore[arg-type]
    return [found.rows[number]["row"] for number in chosen]


def simulate(data: Path, name: str, criterion: str, seed: int) -> list[dict[str, Any]]:
    """Label rows in rounds; returns a line for each."""
    rows, test = corpus(data, name)
    order = np.random.default_rng(seed).permutation(len(rows))[:POOL]
    pool = [rows[number] for number in order]
    classes = len({label for _, label in rows})
    labeled = list(range(ROUNDS[criterion][0] * classes))  # the pool is in random order
    lines: list[dict[str, Any]] = []
    predictor: Any = None
    with tempfile.TemporaryDirectory() as scratch:
        for labels in ROUNDS[criterion]:
            count = labels * classes - len(labeled)
            if count and criterion == "random":
                labeled += list(range(len(labeled), labels * classes))
            elif count:
                labeled += choose(predictor, pool, labeled, criterion, count, seed)
            predictor = train([pool[row] for row in labeled], seed, scratch)
            names = predictor.class_names
            missing = sorted({label for _, label in test} - {*names})
            found = predictor([text for text, _ in test])
            found = np.hstack([found, np.zeros((len(found), len(missing)))])
            line = {"data": name, "criterion": criterion, "seed": seed, "labels": labels, "classes": len(names)}
            lines.append({**line, **score(test, [*names, *missing], found)})
            print(lines[-1], flush=True)
    return lines


def summarize() -> list[dict[str, Any]]:
    """Return a row for each data set, criterion and number of labels."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for line in read_lines(LINES):
        groups[line["data"], line["criterion"], line["labels"]].append(line)
    summary = []
    for (data, criterion, labels), found in sorted(groups.items()):
        accuracy = mean_of([line["accuracy"] for line in found])
        row = {"data": data, "criterion": criterion, "labels": labels, "seeds": len(found)}
        summary.append({**row, "accuracy": round(accuracy["mean"], 4), "sd": round(accuracy["sd"], 4)})
    return summary


def main() -> None:
    """Run everything."""
    import torch

    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, default=None, help="directory of the data sets")
    parser.add_argument("--sets", nargs="+", choices=["TREC", "MR", "R8"], default=["TREC", "MR", "R8"])
    parser.add_argument("--criteria", nargs="+", choices=list(ROUNDS), default=list(ROUNDS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="pools")
    parser.add_argument("--summary", action="store_true", help="summarize all points so far; no run")
    options = parser.parse_args()
    if options.summary:
        rows = summarize()
        print_table(list(rows[0]), [list(row.values()) for row in rows])
        write_results("active_learning", {"rows": rows}, options)
        return
    if options.data is None:
        parser.error("give --data, the directory of the data sets, or --summary")
    torch.set_num_threads(1)
    LINES.parent.mkdir(parents=True, exist_ok=True)
    done = {(line["data"], line["criterion"], line["seed"]) for line in read_lines(LINES)}
    for seed in options.seeds:
        for name in options.sets:
            for criterion in options.criteria:
                if (name, criterion, seed) not in done:
                    lines = simulate(options.data, name, criterion, seed)
                    with LINES.open("a") as file:
                        file.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
