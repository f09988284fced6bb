"""Can the probabilities be believed? python -m benchmarks.quality.calibration --data DIRECTORY.

Trains MiniLM, with sentence mixing and else the defaults, on TREC, on MR (a fifth for the test split, by seed)
and on R8 (at 64 tokens), and prints NLL and ECE on the test split before and after the temperature that is folded into
the saved model, with 95 % intervals over test rows. `--agreement` also compares the probabilities of `Predictor`, of a
`pipeline` of transformers and of the ONNX export on 200 test rows. The same command continues
an interrupted benchmark. Results: benchmarks/results/NAME.json.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.quality.runs import finished_run, test_scores
from benchmarks.shared import make_parser, print_table, run_textmix, write_results
from textmix.evaluation.calibration import calibration_intervals, scale

OPTIONS: dict[str, list[str]] = {
    "TREC": [],
    "MR": [],
    "R8": ["--model.max_length", "64", "--model.long_text", "truncate"],
}
FIGURES = ("uncalibrated_nll", "nll", "uncalibrated_ece", "ece")
ROWS = 200


def largest_differences(directory: Path) -> dict[str, float]:
    """Return the largest difference of a probability from that of `Predictor`, on test rows."""
    from transformers import pipeline

    from textmix import Predictor

    texts = pd.read_csv(directory / "predictions.csv")["text"].astype(str).tolist()[:ROWS]
    predictor = Predictor.from_pretrained(directory)
    expected, names = predictor(texts), predictor.class_names
    classify: Any = pipeline("text-classification", str(directory / "model"), top_k=None, device="cpu")
    answers = [{item["label"]: item["score"] for item in row} for row in classify(texts, truncation=True)]
    stock = np.array([[answer[name] for name in names] for answer in answers])
    run_textmix("export", str(directory))
    exported = Predictor.from_pretrained(directory, backend="onnx")(texts)
    return {"pipeline": float(np.abs(stock - expected).max()), "onnx": float(np.abs(exported - expected).max())}


def intervals(directory: Path, temperature: float) -> dict[str, list[float]]:
    """Return the 95 % intervals of NLL and ECE over test rows, of the saved model and before calibration."""
    table = pd.read_csv(directory / "predictions.csv")
    names = [name for name in table if name.startswith("probability_")]
    labels = pd.Index([name.removeprefix("probability_") for name in names]).get_indexer(table["label"].astype(str))
    after = table[names].to_numpy()
    found = {"": calibration_intervals(labels, after)}
    found["uncalibrated_"] = calibration_intervals(labels, scale(after, 1 / temperature))
    return {f"{prefix}{name}": value for prefix, of in found.items() for name, value in of.items()}


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory of the data sets")
    parser.add_argument("--sets", nargs="+", choices=OPTIONS, default=list(OPTIONS), help="data sets")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--name", default="calibration", help="name of the result file")
    parser.add_argument("--agreement", action="store_true", help="compare predictors on the first seed")
    options = parser.parse_args()
    record, table = [], []
    for name in options.sets:
        for seed in range(options.seeds):
            directory = finished_run(options.data, name, seed, *OPTIONS[name])
            scores = test_scores(directory)
            row: dict[str, Any] = {"data": name, "seed": seed, "accuracy": scores["accuracy"]}
            row |= {figure: scores[figure] for figure in ("temperature", *FIGURES)}
            row["intervals"] = intervals(directory, scores["temperature"])
            row["agreement"] = largest_differences(directory) if options.agreement and seed == 0 else {}
            record.append(row)
            cells = [name, seed, *(f"{row[figure]:.3f}" for figure in ("accuracy", "temperature"))]
            for figure in FIGURES:
                low, high = row["intervals"][figure]
                cells.append(f"{row[figure]:.3f} ({low:.3f} to {high:.3f})")
            cells += [f"{value:.0e}" for value in row["agreement"].values()] or ["", ""]
            table.append(cells)
    header = ["data", "seed", "accuracy", "temperature", "NLL before", "NLL after", "ECE before", "ECE after"]
    print_table([*header, "pipeline", "ONNX"], table)
    write_results(options.name, {"rows": record}, options)


if __name__ == "__main__":
    main()
