"""What every task promises, for every way in which its labels are written."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.support.tasks import EXAMPLES, Example, read
from textmix.data.label_format import Array
from textmix.data.tokens import piece_labels
from textmix.mixing.losses import plain_loss
from textmix.tasks.base import LabelSpace
from textmix.tasks.evaluation import Evaluation, headline
from textmix.tasks.names import COMPARED, METRICS, TASK_NAMES
from textmix.tasks.registry import TASKS, label_space, space_of_columns
from textmix.tasks.token_classification import as_objects

pytestmark = pytest.mark.parametrize("example", EXAMPLES, ids=str)


def logits(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def outputs(space: LabelSpace, targets: Array) -> Array:
    """Return the outputs of a model that knows nothing."""
    if space.of_tokens:
        return as_objects([space.outputs(logits(len(row), len(space.names))) for row in targets])
    return space.outputs(logits(len(targets), len(space.names)))


def assert_same(found: Array, expected: Array) -> None:
    for one, other in zip(found, expected, strict=True):  # rows may be of different lengths
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_every_task_has_an_example(example: Example) -> None:
    assert {each.task.name for each in EXAMPLES} == set(TASK_NAMES) == set(TASKS)
    assert example.task.name in METRICS
    assert example.task.name in COMPARED


def test_labels_do_not_depend_on_the_order_of_rows(example: Example) -> None:
    order = np.random.default_rng(3).permutation(40)
    shuffled = read(example.task, {name: [values[row] for row in order] for name, values in example.columns.items()})
    space = example.space()
    assert_same(space.encode(shuffled), space.encode(example.labels)[order])
    strata, others = example.task.strata(example.labels), example.task.strata(shuffled)
    assert strata.names == others.names
    np.testing.assert_array_equal(others.values, strata.values[order])
    assert strata.counts.sum() >= 40 or strata.values.ndim == 2


def test_what_is_missing_is_told_from_what_is_empty(example: Example) -> None:
    columns = {name: [*values[:-1], None] for name, values in example.columns.items()}
    last = read(example.task, columns).to_pylist()[-1]
    assert last == ("[]" if example.name in ("lists", "joined") else "")


def test_the_model_keeps_the_label_space(example: Example) -> None:
    space = example.space()
    config = SimpleNamespace(num_labels=len(space.names))
    if space.of_tokens:
        config.architectures = ["BertForTokenClassification"]
    space.store(config)
    assert label_space(config) == space


def test_labels_fit_the_loss_of_the_model(example: Example) -> None:
    space = example.space()
    targets = space.encode(example.labels)
    labels = space.to_labels(targets)
    if space.of_tokens:  # one text, whose tokens are word pieces
        labels = np.array([piece_labels(labels[0][:, :2].tolist(), labels[0])])
    shape = (*labels.shape[:2], len(space.names)) if space.of_tokens else (40, len(space.names))
    loss = plain_loss(logits(*shape), torch.tensor(labels.tolist()), space.problem_type)
    assert loss is not None
    assert torch.isfinite(loss)
    if not space.of_tokens:
        assert_same(space.to_targets(labels), targets)


def test_scores_are_plain_numbers_and_hold_every_metric(example: Example) -> None:
    space = example.space()
    targets = space.encode(example.labels)
    evaluation = Evaluation(targets, outputs(space, targets), space)
    scores = evaluation.scores()
    assert all(type(value) is float for value in scores.values())
    assert set(space.metrics) <= set(scores)
    assert {name for name in COMPARED[space.task] if not name.startswith(("scaled", "uncalibrated"))} <= set(scores)
    assert headline(space, scores).count(", ") == len(space.headline) - 1
    for name in ("P", "L") if space.of_tokens else space.names:
        assert name in evaluation.report()
        assert name in evaluation.report_text()
    assert evaluation.markdown("Title").startswith("# Title\n\n40 rows\n")


def test_perfect_outputs_have_the_best_scores(example: Example) -> None:
    space = example.space()
    targets = space.encode(example.labels)
    ones = np.eye(len(space.names))
    if space.of_tokens:
        perfect = as_objects([ones[row[:, 2]] for row in targets])
        wrong = as_objects([np.roll(row, 1, axis=1) for row in perfect])
    else:
        perfect = ones[targets] if targets.ndim == 1 else targets.astype(np.float64)
        wrong = np.roll(perfect, 1, axis=0)
    best, bad = space.scores(targets, perfect), space.scores(targets, wrong)
    for metric, larger in space.metrics.items():
        assert (best[metric] > bad[metric]) == larger, metric


def test_files_of_predictions_are_read_back(example: Example) -> None:
    space = example.space()
    targets = space.encode(example.labels)
    evaluation = Evaluation(targets, outputs(space, targets), space)
    table = evaluation.table({})
    assert set(space.write_targets(evaluation.targets)) <= set(space.target_columns)
    assert [*space.write_outputs(evaluation.outputs)] == space.output_columns
    assert table.columns[-len(space.output_columns)] == space.output_columns[0]
    if space.of_tokens:
        assert space.write_outputs(space.read_outputs(table)) == space.write_outputs(evaluation.outputs)
        return
    written = pd.read_csv(pd.io.common.StringIO(table.to_csv(index=False)), dtype=str, keep_default_na=False)
    found = space_of_columns(list(written.columns))
    assert type(found) is type(space)
    assert len(found.names) == len(space.names)
    np.testing.assert_allclose(found.read_outputs(written), evaluation.outputs)
    np.testing.assert_allclose(found.read_targets(written), evaluation.targets, rtol=1e-6)


def test_rows_near_a_decision_are_found(example: Example) -> None:
    space = example.space()
    found = outputs(space, space.encode(example.labels))
    assert not space.borderline(found, 0.0).any()
    expected = space.task in ("single_label", "multi_label")
    assert space.borderline(found, 2.0).all() == expected


def test_the_average_of_models_and_their_rows_keep_the_labels(example: Example) -> None:
    space = example.space()
    assert space.averaged([space, space]) == space
    assert space.of_rows([space] * 40) == space
