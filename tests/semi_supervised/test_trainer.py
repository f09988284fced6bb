"""Training on labelled rows and on guesses: the loss of a step, what guesses, every strategy, what is left."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.counting import hooks
from tests.support.few_labels import TOKENIZER, classifier, completed, labeled, pool, weights
from tests.support.trainer import same
from textmix import MixupForSequenceClassification
from textmix.config.unlabeled import UnlabeledConfig
from textmix.errors import TrainingError
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.registry import STRATEGIES
from textmix.semi_supervised.trainer import SemiSupervisedTrainer

EVERY_GUESS = ["model", "average", "ensemble", "spread"]


def trainer(
    model: MixupForSequenceClassification,
    rows: int = 12,
    unlabelled: int = 20,
    strategy: str = "none",
    loss: LossConfig | None = None,
    precision: Any = "fp32",
    seed: int = 0,
    spread: np.ndarray | None = None,
    mix: dict[str, Any] | None = None,
    **options: Any,
) -> SemiSupervisedTrainer:
    given = {"steps": 3, "batch_size": 8, "labeled_batch_size": 6, "learning_rate": 1e-3, "view": "none"}
    config = UnlabeledConfig(**{**given, "guesses": ["model"], **options})
    tokens, targets = labeled(rows)
    if "spread" in config.guesses and spread is None:
        spread = np.random.default_rng(0).dirichlet(np.ones(model.num_labels), unlabelled)
    mixing = completed(strategy, **(mix or {}))
    data = (model, TOKENIZER, tokens, targets, pool(unlabelled), spread, config, mixing)
    return SemiSupervisedTrainer(*data, loss or LossConfig(), precision, seed)


def trained(model: MixupForSequenceClassification, **options: Any) -> dict[str, Tensor]:
    one = trainer(model, **options)
    torch.seed()  # whatever was drawn before
    made = one.train(show_progress=False)
    assert np.isfinite(made.loss)
    return weights(model)


def log_probabilities(model: MixupForSequenceClassification, rows: Any) -> list[list[float]]:
    found = []
    with torch.no_grad():
        for row in rows:
            inputs = {name: torch.tensor([cells]) for name, cells in row.items()}
            found.append(model.eval()(**inputs).logits[0].log_softmax(dim=0).tolist())
    return found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight": 0.3, "sharpening": 1.0},
        {"weighting": "threshold", "threshold": 0.5, "weight": 2.0, "guesses": ["model", "spread"]},
        {"guesses": ["spread"], "weighting": "threshold", "threshold": 0.6},
        {"guesses": ["model", "spread"]},
        {"ramp": 0.5, "guesses": ["spread"]},
        {"weight": 0.0, "guesses": ["spread"]},
    ],
)
def test_the_loss_of_a_step_is_a_plain_loop_over_all_rows(options: dict[str, Any]) -> None:
    model = classifier(dropout=0.0)
    given = {"steps": 1, "labeled_batch_size": 6, "batch_size": 9, "sharpening": 0.5, **options}
    one = trainer(model, rows=6, unlabelled=9, **given)
    rows, targets = labeled(6)
    spread = np.random.default_rng(0).dirichlet(np.ones(3), 9).tolist()
    own = log_probabilities(model, [dict(TOKENIZER(text)) for text in pool(9)["text"]])
    supervised = [-found[int(target)] for found, target in zip(log_probabilities(model, rows), targets, strict=True)]
    guessed = []
    for scores, shares in zip(own, spread, strict=True):
        parts = {"model": [np.exp(score) for score in scores], "spread": shares}
        named = [parts[name] for name in options.get("guesses", ["model"])]
        guess = [sum(values) / len(named) for values in zip(*named, strict=True)]
        counts = max(guess) >= options["threshold"] if options.get("weighting") else True
        powers = [value ** (1 / given["sharpening"]) for value in guess]
        cross = -sum(power / sum(powers) * score for power, score in zip(powers, scores, strict=True))
        guessed.append(cross * counts)
    if options.get("weighting"):
        assert 0 < guessed.count(0) < 9
    scale = 0.0 if "ramp" in options else options.get("weight", 1.0)  # the first step of a ramp
    expected = sum(supervised) / 6 + scale * sum(guessed) / 9
    assert one.train(show_progress=False).loss == pytest.approx(expected, rel=1e-4)


def test_the_weight_of_guesses_rises_over_the_ramp(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[float]] = []
    one = trainer(classifier(dropout=0.0), steps=8, ramp=0.5, weight=3.0)
    score = one._mixer.score

    def noted(*args: Any) -> Tensor:
        seen.append(args[-1].tolist())
        return score(*args)

    monkeypatch.setattr(one._mixer, "score", noted)
    one.train(show_progress=False)
    for step, found in enumerate(seen):
        scale = 3.0 * min(1.0, step / 8 / 0.5)
        assert found == pytest.approx([14 / 6] * 6 + [scale * 14 / 8] * 8)
    assert len(seen) == 8


def test_ensembled_guesses_are_moving_averages_for_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trainer(classifier(), guesses=["ensemble"], ema_decay=0.7)
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.rand(3, 3, generator=generator).softmax(dim=1) for _ in range(6)]
    batches = [[0, 1, 2], [2, 3, 4], [0, 5, 2], [1, 2, 3], [0, 1, 2], [9, 8, 2]]
    outputs = iter(drawn)
    monkeypatch.setattr(one, "_predict", lambda model, batch: next(outputs))
    averages: dict[int, list[float]] = {}
    visits: dict[int, int] = {}
    for guesses, numbers in zip(drawn, batches, strict=True):
        found = one._guess([["a text"] * 3], torch.tensor(numbers))
        for row, number, own in zip(found.tolist(), numbers, guesses.tolist(), strict=True):
            before = averages.get(number, [0.0] * 3)
            averages[number] = [0.7 * old + 0.3 * new for old, new in zip(before, own, strict=True)]
            visits[number] = visits.get(number, 0) + 1
            expected = [value / (1 - 0.7 ** visits[number]) for value in averages[number]]
            assert row == pytest.approx(expected, abs=1e-5)
            assert sum(row) == pytest.approx(1, abs=1e-5)


def test_the_mean_teacher_guesses_with_the_moving_average_of_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    model, history = classifier(), []
    one = trainer(model, guesses=["average"], ema_decay=0.6, steps=4)
    assert one._average is not None
    teacher, guessed = one._average.module, []
    predict = one._predict

    def noted(asked: Any, batch: Any) -> Tensor:
        guessed.append((asked is teacher, weights(teacher)))
        if len(guessed) > 1:
            history.append(weights(model))
        return predict(asked, batch)

    monkeypatch.setattr(one, "_predict", noted)
    start = weights(model)
    one.train(show_progress=False)
    assert all(asked for asked, _ in guessed)
    assert same(guessed[0][1], start)
    name = "encoder.encoder.layer.0.output.dense.weight"
    expected = history[0][name]
    for after, (_, found) in zip(history[1:], guessed[2:], strict=True):
        expected = 0.6 * expected + 0.4 * after[name]
        torch.testing.assert_close(found[name], expected)
    assert not torch.equal(expected, history[-1][name])


@pytest.mark.parametrize("views", [0, 3])
def test_guesses_of_the_model_average_passes_with_dropout(views: int) -> None:
    model = classifier(dropout=0.3).train()
    one = trainer(model, views=views)
    batch = one._placed(one._collate(one._encode([["soup and bread", "a goal"]])))
    torch.manual_seed(4)
    found = one._predict(model, batch)
    assert model.training
    assert torch.equal(found, one._predict(model, batch)) == (views == 0)
    torch.manual_seed(4)
    passes = [model.train(views > 0)(**batch).logits.softmax(dim=1) for _ in range(max(1, views))]
    torch.testing.assert_close(found, sum(passes) / len(passes))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy(strategy: str) -> None:
    options: dict[str, Any] = {"strategy": strategy, "guesses": EVERY_GUESS, "view": "mask", "weighting": "soft"}
    once, again, other = (trained(classifier(), **options, seed=seed) for seed in (5, 5, 6))
    assert same(once, again)
    assert not same(once, other)
    plain = trained(classifier(), **{**options, "strategy": "none"}, seed=5)
    assert same(once, plain) == (strategy == "none")


@pytest.mark.parametrize("partner", ["nearest", "farthest", "length"])
def test_every_partner(partner: str) -> None:
    trained(classifier(), strategy="manifold", mix={"partner": partner})


def test_mixing_knows_the_progress() -> None:
    late = trained(classifier(), strategy="word", mix={"start": 0.9})
    assert same(late, trained(classifier()))
    assert not same(late, trained(classifier(), strategy="word", mix={"start": 0.6}))


@pytest.mark.parametrize(
    "options",
    [
        *({"view": view} for view in ("cutoff", "mask", "eda")),
        *({"weighting": weighting, "align": True} for weighting in ("threshold", "class_threshold", "soft")),
        *({"guesses": [guess]} for guess in EVERY_GUESS),
        {"views": 2},
    ],
)
def test_every_way_trains_the_same_for_a_seed_and_differently_without_it(options: dict[str, Any]) -> None:
    once, again, none = trained(classifier(), **options), trained(classifier(), **options), trained(classifier())
    assert same(once, again)
    assert not same(once, none) or options.get("guesses") == ["model"]


@pytest.mark.parametrize("loss", [LossConfig(label_smoothing=0.1), LossConfig(class_weights=[1.0, 2.0, 3.0])])
def test_the_loss_has_its_options(loss: LossConfig) -> None:
    assert not same(trained(classifier(), loss=loss), trained(classifier()))


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_all_but_the_weights_is_as_before(fails: bool, training: bool) -> None:
    model = classifier().train(training)
    config, modules, count = model.config.to_dict(), dict(model.named_modules()), hooks(model)
    one = trainer(model, strategy="manifold", guesses=EVERY_GUESS, steps=11, learning_rate=1e30 if fails else 1e-3)
    if fails:
        with pytest.raises(TrainingError, match=r"step \d+; lower unlabeled.learning_rate .* train.precision fp32"):
            one.train(show_progress=False)
    else:
        one.train(show_progress=False)
    assert model.config.to_dict() == config
    assert dict(model.named_modules()) == modules
    assert hooks(model) == count
    assert not hasattr(model, "mixer")
    assert {module.training for module in model.modules()} == {training}


def test_bfloat16_trains_every_weight_after_a_guess_without_gradients() -> None:
    model = classifier(dropout=0.0)
    before = weights(model)
    after = trained(model, precision="bf16")
    for name, value in after.items():
        if name.endswith("weight") and "token_type" not in name:
            assert not torch.equal(value, before[name]), name
    assert {value.dtype for value in after.values()} == {torch.float32}


def test_it_looks_at_the_loss_every_ten_steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trainer(classifier(dropout=0.0), steps=30, guesses=EVERY_GUESS, align=True, weighting="class_threshold")
    calls, item = [], Tensor.item
    monkeypatch.setattr(Tensor, "item", lambda self: calls.append(self.shape) or item(self))
    one.train(show_progress=False)
    assert len(calls) == 3 + 1  # and the mean at the end


def test_all_rows_of_the_pool_come_before_any_comes_again() -> None:
    one = trainer(classifier(), unlabelled=20)
    batches = one._pool_batches()
    for _ in range(3):
        rows = np.concatenate([next(batches), next(batches)])
        assert len({*rows.tolist()}) == 16  # two whole batches of eight
    few = trainer(classifier(), unlabelled=5)
    assert sorted(next(few._pool_batches()).tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("unlabelled", [1, 3])
def test_small_pools_and_classes_with_one_row_or_none(unlabelled: int) -> None:
    trained(classifier(classes=5), rows=3, unlabelled=unlabelled, guesses=["model", "spread"], align=True)


def test_pairs_of_texts() -> None:
    tokens, targets = labeled(6)
    rows = pool(9).add_column("text_pair", ["a soup"] * 9)
    config = UnlabeledConfig(steps=2, batch_size=4, labeled_batch_size=3, guesses=["model"], view="eda")
    model = classifier()
    data = (model, TOKENIZER, tokens, targets, rows, None, config, completed("none"), LossConfig())
    one = SemiSupervisedTrainer(*data, "fp32", 0)
    assert (TOKENIZER.sep_token_id == torch.tensor(one._encode([["a goal"], ["a soup"]])[0]["input_ids"])).sum() == 2
    assert np.isfinite(one.train(show_progress=False).loss)


def test_views_change_rows_of_the_pool_and_no_labelled_row() -> None:
    for view in ("mask", "cutoff", "eda"):
        one = trainer(classifier(), view=view, view_rate=0.5)
        texts = [["soup bread cheese salad pepper butter lemon rice"] * 8]
        own = [one._labeled[number] for number in range(4)]
        found, plain = one._joined(own, texts), one._collate([*own, *one._encode(texts)])
        assert torch.equal(found["input_ids"][:4, :8], plain["input_ids"][:4, :8])
        width = min(found["input_ids"].shape[1], plain["input_ids"].shape[1])
        changed = found["attention_mask" if view == "cutoff" else "input_ids"][4:, :width]
        assert not torch.equal(changed, plain["attention_mask" if view == "cutoff" else "input_ids"][4:, :width])
        if view == "mask":
            assert (found["input_ids"][4:] == TOKENIZER.mask_token_id).any(dim=1).all()
