import numpy as np
import pytest

from textmix.evaluation.coverage import Coverage, coverage_curve, coverage_table, threshold_for


def test_a_curve_by_hand() -> None:
    confidence = np.array([0.9, 0.6, 0.8, 0.7])
    correct = np.array([True, False, True, False])
    curve = coverage_curve(correct, confidence)
    assert curve == [(0.6, 1.0, 0.5), (0.7, 0.75, pytest.approx(2 / 3)), (0.8, 0.5, 1.0), (0.9, 0.25, 1.0)]
    assert threshold_for(curve, 0.6) == curve[1]
    assert threshold_for(curve, 1.0) == curve[2]
    assert threshold_for(curve[:2], 0.9) is None
    assert coverage_table(curve).rows[1] == ("75.0%", "0.6667", "0.7000")


def test_rows_of_one_confidence_stay_together() -> None:
    curve = coverage_curve(np.array([True, False, True, True]), np.array([0.5, 0.5, 0.5, 0.9]))
    assert curve == [Coverage(0.5, 1.0, 0.75), Coverage(0.9, 0.25, 1.0)]


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_every_point_is_what_its_threshold_gives(rows: int) -> None:
    generator = np.random.default_rng(rows)
    confidence, correct = generator.random(rows), generator.random(rows) < 0.7
    curve = coverage_curve(correct, confidence)
    assert curve[0].share == 1.0
    for threshold, share, accuracy in curve:
        inside = confidence >= threshold
        assert inside.mean() == pytest.approx(share)
        assert correct[inside].mean() == pytest.approx(accuracy)
