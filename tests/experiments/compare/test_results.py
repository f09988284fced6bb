"""What is made of the figures of many runs."""

import statistics
from typing import Any

import pytest

from textmix.experiments.compare.results import NOT_SHOWN, fewest_pairs, summarize
from textmix.experiments.compare.statistics import bootstrap_interval, holm, pairs_needed, sign_flip_test
from textmix.experiments.compare.tables import differences_table, notes, progress_table, report, scores_table

NONE = [0.90, 0.91, 0.89, 0.92, 0.90, 0.91, 0.90, 0.89]
GAIN = [0.02, 0.03, 0.01, 0.02, 0.02, 0.03, 0.02, 0.01]
NOISE = [0.01, -0.01, 0.02, -0.01, 0.0, -0.02, 0.01, 0.005]


def run(accuracy: float, steps: int = 40, scaled: bool = True) -> dict[str, Any]:
    test = {"accuracy": accuracy, "macro_f1": accuracy - 0.01, "nll": 1 - accuracy, "ece": 0.1, "report": {}}
    if scaled:
        test |= {"temperature": 1.5, "scaled_nll": 0.9 - accuracy, "scaled_ece": 0.05}
    return {"test": test, "train": {"seconds": 2.0, "steps": steps}}


def runs(*gains: list[float], count: int = 8) -> list[dict[str, Any]]:
    return [run(sum(values)) for values in list(zip(NONE, *gains, strict=True))[:count]]


def comparison(
    metrics: dict[str, list[dict[str, Any]]],
    baseline: str = "none",
    unit: str = "seed",
    validation: float = 0.1,
    **train: Any,
) -> dict[str, Any]:
    settings = {"metric": "macro_f1", "max_steps": None, "epochs": 4, "patience": None, **train}
    return {
        "baseline": baseline,
        "pairs": [f"{unit} {number}" for number in range(len(metrics[baseline]))],
        "strategies": summarize(metrics, baseline),
        "config": {"train": settings, "data": {"validation_source": None, "validation_fraction": validation}},
    }


def test_means_tests_and_their_correction() -> None:
    records = summarize({"none": runs(), "word": runs(GAIN), "cutmix": runs(NOISE)}, "none")
    accuracy = records["word"]["accuracy"]
    assert accuracy["mean"] == pytest.approx(statistics.fmean(NONE) + statistics.fmean(GAIN))
    assert accuracy["sd"] == pytest.approx(statistics.stdev(run["test"]["accuracy"] for run in runs(GAIN)))
    assert accuracy["values"] == [run["test"]["accuracy"] for run in runs(GAIN)]
    assert accuracy["difference"] == pytest.approx(statistics.fmean(GAIN))
    assert accuracy["interval"] == pytest.approx(bootstrap_interval(GAIN))
    expected = holm([sign_flip_test(GAIN), sign_flip_test(NOISE)])
    assert [records[name]["accuracy"]["p_value"] for name in ("word", "cutmix")] == pytest.approx(expected)
    assert [records[name]["p_value"] for name in ("word", "cutmix")] == pytest.approx(expected)
    assert accuracy["pairs_needed"] == fewest_pairs(2) > pairs_needed(GAIN)
    assert records["cutmix"]["accuracy"]["pairs_needed"] == pairs_needed(NOISE) > fewest_pairs(2)
    assert records["none"]["p_value"] is None
    assert "difference" not in records["none"]["accuracy"]
    assert records["none"]["seconds_per_step"]["mean"] == 0.05


def test_whether_more_is_better_depends_on_the_metric() -> None:
    records = summarize({"none": runs(), "word": runs(GAIN), "cutmix": runs([-gain for gain in GAIN])}, "none")
    assert (records["word"]["accuracy"]["verdict"], records["word"]["nll"]["verdict"]) == ("better", "better")
    assert (records["cutmix"]["accuracy"]["verdict"], records["cutmix"]["nll"]["verdict"]) == ("worse", "worse")
    assert records["word"]["nll"]["difference"] < 0
    assert records["word"]["ece"]["verdict"] == NOT_SHOWN


def test_one_seed_is_not_tested() -> None:
    one = comparison({"none": runs(count=1), "word": runs(GAIN, count=1)})
    assert one["strategies"]["word"]["p_value"] is None
    assert one["strategies"]["word"]["accuracy"]["sd"] is None
    assert differences_table(one["strategies"], "none").rows == []
    assert scores_table(one["strategies"]).rows[1][:2] == ["word", "0.9200"]
    text = report(one)
    assert "One seed, seed 0: nothing is tested, and differences may be chance alone." in text
    assert "what it shows" not in text


def test_the_fewest_pairs_are_those_that_can_show_something() -> None:
    for comparisons in (1, 3, 5):
        seeds = fewest_pairs(comparisons)
        assert comparisons * sign_flip_test([1.0] * seeds) < 0.05 <= comparisons * sign_flip_test([1.0] * (seeds - 1))


def test_too_few_seeds_are_told() -> None:
    said = notes(comparison({"none": runs(count=5), "word": runs(GAIN, count=5)}))
    assert said[-1].startswith("With 5 seeds the test cannot show any difference, however large; ")
    assert said[-1].endswith("takes at least 6.")
    said = notes(comparison({"none": runs(count=4), "word": runs(GAIN, count=4)}))
    assert said[-1] == "Intervals of fewer than 5 seeds are too narrow."
    said = notes(comparison({"none": runs(), "word": runs(GAIN)}))
    assert not any("cannot show" in line for line in said)


def test_folds_are_called_folds_and_said_to_overlap() -> None:
    said = notes(comparison({"none": runs(), "word": runs(GAIN)}, unit="fold"))
    assert "8 folds (fold 0 to fold 7)" in said[2]
    assert "paired by fold" in said[3]
    assert "folds overlap" in said[-1]
    assert not any("folds" in line for line in notes(comparison({"none": runs(), "word": runs(GAIN)})))


def test_the_report() -> None:
    text = report(comparison({"none": runs(), "word": runs(GAIN), "cutmix": runs(NOISE)}))
    assert "| strategy | accuracy | macro_f1 | nll | ece | scaled_nll | scaled_ece | ms a step |" in text
    assert "| none | 0.9025 ± 0.0104 | 0.8925 ± 0.0104 | 0.0975 ± 0.0104 | 0.1000 ± 0.0000 |" in text
    assert "| 50.0 ± 0.0 |" in text
    (word,) = [line for line in text.splitlines() if line.startswith("| accuracy | word |")]
    assert word.split(" | ")[2:3] == ["+0.0200"]
    assert word.split(" | ")[4:6] == ["0.0156", "better"]
    (cutmix,) = [line for line in text.splitlines() if line.startswith("| accuracy | cutmix |")]
    assert "no difference shown" in cutmix
    assert "| nll | word | -0.0200 |" in text
    assert "Equal budgets: each run trained for 40 steps (4 epochs)." in text
    assert "chosen by macro_f1 on its validation split" in text
    assert "8 seeds (seed 0 to seed 7)" in text


def test_without_validation_nothing_is_scaled() -> None:
    metrics = {name: [run(0.9, scaled=False), run(0.8, scaled=False)] for name in ("none", "word")}
    text = report(comparison(metrics, validation=0.0))
    assert "scaled" not in text
    assert "There is no validation split" in text
    assert "on its validation split; the test split" in report(comparison(metrics))


def test_unequal_steps_are_told() -> None:
    metrics = {"none": [run(0.9), run(0.9)], "word": [run(0.9, steps=20), run(0.9)]}
    said = notes(comparison(metrics, patience=2))
    assert said[0] == (
        "Each run had the same budget (4 epochs) and trained for 20 to 40 steps, as train.patience ended some early."
    )
    metrics = {"none": [run(0.9), run(0.9)]}
    assert notes(comparison(metrics, max_steps=40))[0] == "Equal budgets: each run trained for 40 steps."


def test_a_table_while_it_goes_on() -> None:
    table = progress_table(
        {"none": runs(count=2), "word": runs(GAIN, count=1)}, ["none", "word", "cutmix"], ["seed 0", "seed 1", "seed 2"]
    )
    assert table.header[:3] == ["strategy", "runs", "accuracy"]
    assert [row[:3] for row in table.rows] == [
        ["none", "2 of 3", "0.9050 ± 0.0071"],
        ["word", "1 of 3", "0.9200"],
        ["cutmix", "0 of 3", ""],
    ]
    assert progress_table({}, ["none"], ["seed 0"]).rows[0][:2] == ["none", "0 of 1"]


def test_the_first_is_the_baseline_without_none_and_a_bar_does_not_break_the_table() -> None:
    text = report(comparison({"word": runs(), "a|b": runs(GAIN)}, baseline="word"))
    assert "minus word" in text
    assert "a\\|b" in text
