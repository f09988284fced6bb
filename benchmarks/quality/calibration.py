"""Can the probabilities be believed? python -m benchmarks.quality.calibration --data DIRECTORY.

Trains MiniLM, with sentence mixing and else the defaults, on TREC, on MR (a fifth for the test split, by seed)
and on R8 (at 64 tokens), and prints NLL and ECE on the test split before and after the temperature that is folded into
the saved model: the means over seeds, and for the first seed the 95 % interval over test rows. `--agreement` also
compares the probabilities of `Predictor`, of a `pipeline` of transformers and of the ONNX export on 200 test rows. The
same command continues an interrupted benchmark. Results: benchmarks/results/calibration.json.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.quality.runs import finished_run, test_scores
from benchmarks.shared import make_parser, mean_of, print_table, run_textmix, write_results

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


def main() -> None:
    """Run everything."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory of the data sets")
    parser.add_argument("--sets", nargs="+", choices=OPTIONS, default=list(OPTIONS), help="data sets")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--agreement", action="store_true", help="compare predictors on the first seed")
    options = parser.parse_args()
    record, table = [], []
    for name in options.sets:
        directories = [finished_run(options.data, name, seed, *OPTIONS[name]) for seed in range(options.seeds)]
        runs = [test_scores(directory) for directory in directories]
        row: dict[str, Any] = {"data": name, "seeds": options.seeds}
        row |= {figure: mean_of([run[figure] for run in runs]) for figure in ("accuracy", "temperature", *FIGURES)}
        row["intervals"] = {figure: runs[0][f"{figure}_interval"] for figure in FIGURES}
        row["agreement"] = largest_differences(directories[0]) if options.agreement else None
        record.append(row)
        cells = [f"{row[figure]['mean']:.3f}" for figure in ("accuracy", "temperature")]
        for figure in FIGURES:
            low, high = row["intervals"][figure]
            cells.append(f"{row[figure]['mean']:.3f} ({low:.3f} to {high:.3f})")
        agreement = row["agreement"] or {}
        table.append([name, *cells, *(f"{agreement[kind]:.1e}" if agreement else "" for kind in ("pipeline", "onnx"))])
    header = ["data", "accuracy", "temperature", "NLL before", "NLL after", "ECE before", "ECE after"]
    print_table([*header, "pipeline", "ONNX"], table)
    write_results("calibration", {"rows": record}, options)


if __name__ == "__main__":
    main()
