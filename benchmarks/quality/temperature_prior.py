"""Compare ways to fit a temperature on few rows: python -m benchmarks.quality.temperature_prior --data DIRECTORY.

DIRECTORY holds trec_train.csv, mr.csv and reuters_r8_train.csv. The models are logistic regressions and a small network
on TF-IDF, trained on 50 and on 500 rows, and simulated models that are overconfident, calibrated, or underconfident.
Each predicts rows that it was not trained on. A temperature is fitted on subsets of n rows of one half of them, and the
other half is scored. The rules are maximum likelihood, maximum likelihood from a minimum number of rows on, and a
normal prior on log T. The tables show, for each rule and n, the change of the NLL of the scored rows by scaling (mean
over the models, mean of the worst model, largest of all subsets), and the median relative difference of T from the T of
maximum likelihood. The benchmark takes about four minutes on one core. Results:
benchmarks/results/temperature_prior.json.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from benchmarks.shared import make_parser, write_results
from textmix.evaluation.calibration import fit_temperature, scale

FILES = ("trec_train.csv", "mr.csv", "reuters_r8_train.csv")
ROWS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
SCORED = 1500
PRIORS, MINIMA = (0.25, 0.5, 1.0), (32, 128)

Array = npt.NDArray[Any]


def simulated() -> Iterator[tuple[str, Array, Array]]:
    """Draw labels from a softmax, and yield its probabilities at other temperatures."""
    draw = np.random.default_rng(0)
    for spread in (2, 6):
        for temperature in (0.5, 1.0, 2.0):
            logits = spread * draw.standard_normal((6000, 4))
            truth = scale(np.exp(logits), 1.0)
            labels = (truth.cumsum(axis=1) > draw.random((6000, 1))).argmax(axis=1)
            yield f"simulated, spread {spread}, T {temperature}", labels, scale(truth, 1 / temperature)


def trained(directory: Path) -> Iterator[tuple[str, Array, Array]]:
    """Train small classifiers on few rows and predict the others."""
    for file in FILES:
        table = pd.read_csv(directory / file).sample(frac=1, random_state=0)
        classes = pd.factorize(table["label"])[0]
        for rows in (50, 500):
            features = TfidfVectorizer(ngram_range=(1, 2)).fit(table["text"][:rows]).transform(table["text"])
            for name, model in (
                ("logistic, C 1", LogisticRegression(C=1, max_iter=3000)),
                ("logistic, C 1000", LogisticRegression(C=1000, max_iter=3000)),
                ("network", MLPClassifier((64,), max_iter=60, random_state=0)),
            ):
                model.fit(features[:rows], classes[:rows])
                others = np.isin(classes, model.classes_) & (np.arange(len(classes)) >= rows)
                labels = np.searchsorted(model.classes_, classes[others])
                yield f"{file}, {rows} rows, {name}", labels, model.predict_proba(features[others])


def nll(labels: Array, probabilities: Array) -> float:
    """Return the mean negative log-likelihood."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-300)).mean())


def try_rules(name: str, labels: Array, probabilities: Array) -> Iterator[dict[str, Any]]:
    """Fit temperatures by each rule on subsets of one half of the rows, and score the other half."""
    order = np.random.default_rng(1).permutation(len(labels))
    scored, pool = order[: len(order) // 2][:SCORED], order[len(order) // 2 :]
    unscaled = nll(labels[scored], probabilities[scored])
    for rows in ROWS:
        for number in range(100 if rows <= 128 else 30):
            drawn = np.random.default_rng([rows, number]).choice(pool, rows, replace=False)
            given = labels[drawn], probabilities[drawn]
            likely = fit_temperature(*given, prior_sd=np.inf)
            found = {"maximum likelihood": likely}
            found |= {f"from {least} rows": likely if rows >= least else 1.0 for least in MINIMA}
            found |= {f"prior {sd}": fit_temperature(*given, prior_sd=sd) for sd in PRIORS}
            for rule, temperature in found.items():
                change = nll(labels[scored], scale(probabilities[scored], temperature)) - unscaled
                shift = abs(temperature / likely - 1)
                yield {"model": name, "rows": rows, "rule": rule, "change": change, "shift": shift}


def main() -> None:
    """Measure, print, and write the results."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory of the data sets")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="Stochastic Optimizer")
    models = [*simulated(), *trained(options.data)]
    table = pd.DataFrame([line for model in models for line in try_rules(*model)])
    by_model = table.groupby(["rule", "rows", "model"])["change"].agg(["mean", "max"])
    by_rule = by_model.groupby(["rule", "rows"])
    figures = {
        "mean": by_rule["mean"].mean(),
        "worst_model": by_rule["mean"].max(),
        "largest": by_rule["max"].max(),
        "shift_of_temperature": table.groupby(["rule", "rows"])["shift"].median(),
    }
    for name, values in figures.items():
        print(f"\n{name}\n{values.unstack().round(4).to_string()}")
    results = {name: values.unstack().round(6).T.to_dict() for name, values in figures.items()}
    unscaled = {name: round(nll(labels, probabilities), 4) for name, labels, probabilities in models}
    write_results("temperature_prior", {"models": unscaled, **results}, options)


if __name__ == "__main__":
    main()
