"""What every registered strategy must hold to, for any batch and any options: it is tested by being registered."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from tests.mixing import loops
from tests.support.counting import counting_blocks, hooks
from tests.support.families import fresh
from tests.support.family_configs import VOCAB
from tests.support.strategies import NEEDS
from textmix.hooks.attach import attach
from textmix.hooks.attached_mixer import AttachedMixer
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.plan import MixPlan
from textmix.mixing.registry import STRATEGIES

# Values for the sections of single strategies.
OPTIONS = {
    "manifold": st.fixed_dictionaries({"layers": st.sampled_from([None, [1], [1, 3]])}),
    "multi": st.fixed_dictionaries({"rows": st.integers(2, 6)}),
    "batch": st.fixed_dictionaries({"temperature": st.sampled_from([0.1, 1.0, 10.0])}),
    "cutmix": st.sampled_from([{"level": "tokens"}, *({"level": "embeddings", "keep": keep} for keep in (0.0, 0.3))]),
}
COUNTS = [50, 5, 20]
# Strategies whose λ is what was drawn: it is folded, and one for the batch unless drawn for each row.
BLENDING = ("word", "sentence", "manifold", "nonlinear", "multi")


@cache
def model_of(name: str) -> PreTrainedModel:
    return fresh(name)


@dataclass
class Case:
    """A model, a batch, and how to mix it."""

    model: PreTrainedModel
    batch: dict[str, torch.Tensor]
    config: MixConfig
    loss: LossConfig
    seed: int
    progress: float

    def run(self, batch: dict[str, torch.Tensor] | None = None) -> tuple[torch.Tensor, torch.Tensor, AttachedMixer]:
        """Mix one training batch; return loss, logits and the detached mixer."""
        with attach(self.model, self.config, loss=self.loss, seed=self.seed) as mixer:
            mixer.progress = self.progress
            output = self.model(**(batch or self.batch))
        return output.loss, output.logits, mixer


@st.composite
def masks(draw: st.DrawFn, size: int, length: int) -> torch.Tensor | None:
    """Draw masks with a real position in each row: none, padding on either side, or holes."""
    kind = draw(st.sampled_from(["none", "right", "left", "holes"]))
    lengths = torch.tensor(draw(st.lists(st.integers(1, length), min_size=size, max_size=size))).unsqueeze(1)
    positions = torch.arange(length).expand(size, -1)
    if kind == "none":
        return None
    if kind == "holes":
        source = torch.Generator().manual_seed(draw(st.integers(0, 999)))
        return ((torch.rand(size, length, generator=source) < 0.5) | (positions == lengths - 1)).long()
    return ((positions < lengths) if kind == "right" else (positions >= length - lengths)).long()


@st.composite
def configs(draw: st.DrawFn, strategy: str, classes: bool) -> MixConfig:
    """Draw options that are valid together."""
    options: dict[str, Any] = {**NEEDS.get(strategy, {}), "class_counts": COUNTS}
    if strategy in OPTIONS:
        options[strategy] = draw(OPTIONS[strategy])
    options["lam"] = draw(st.sampled_from(["beta", "uniform", "fixed", "similarity"]))
    if options["lam"] == "fixed":
        options["lam_value"] = draw(st.sampled_from([0.0, 0.3, 1.0]))
    if options["lam"] == "similarity":
        options["similarity_max"] = draw(st.sampled_from([0.1, 1.0, 10.0]))
        options["similarity_std"] = draw(st.sampled_from([0.1, 0.5, 5.0]))
    if options["lam"] in ("beta", "similarity"):
        options["alpha"] = draw(st.sampled_from([1e-4, 0.4, 8.0]))
        options["alpha_schedule"] = draw(st.sampled_from(["constant", "linear_in", "cosine_out"]))
    options["targets"] = draw(st.sampled_from(["linear", "remix", "trust"])) if classes else "linear"
    if options["targets"] == "trust":
        options["trust"] = draw(st.sampled_from([0.1, 1.0]))
    kinds = ["random", "nearest", "farthest", "length"] + ["same_class", "other_class", "easy_hard"] * classes
    return MixConfig(
        strategy=strategy,
        fold_lam=draw(st.booleans()),
        per_sample=draw(st.booleans()),
        partner=draw(st.sampled_from(kinds)),
        padding=draw(st.sampled_from(["zero", "copy"])),
        probability=draw(st.sampled_from([0.0, 0.5, 1.0, 1.0])),
        regmix=draw(st.sampled_from([None, 0.0, 1.0])),
        start=draw(st.sampled_from([0.0, 0.2])),
        **options,
    )


@st.composite
def cases(draw: st.DrawFn, strategy: str) -> Case:
    size, length = draw(st.integers(1, 33)), draw(st.integers(1, 8))
    source = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    classes = draw(st.booleans())
    model = model_of(draw(st.sampled_from(["BERT", "BERT, linear head", "TextCNN", "TextRNN"])))
    batch = {"input_ids": torch.randint(0, VOCAB, (size, length), generator=source)}
    mask = draw(masks(size, length))
    if mask is not None:
        batch["attention_mask"] = mask
    batch["labels"] = torch.randint(len(COUNTS), (size,), generator=source)
    if not classes:
        batch["labels"] = torch.rand(size, len(COUNTS), dtype=torch.float64, generator=source).softmax(dim=1)
    config = draw(configs(strategy, classes))
    if config.manifold.layers is not None and model in (model_of("TextCNN"), model_of("TextRNN")):
        model = model_of("BERT")
    loss = LossConfig(
        label_smoothing=draw(st.sampled_from([0.0, 0.1])),
        class_weights=draw(st.sampled_from([None, "balanced"])),
        focal_gamma=draw(st.sampled_from([0.0, 2.0])),
    )
    return Case(model, batch, config, loss, draw(st.integers(0, 2**31)), draw(st.sampled_from([0.1, 0.5])))


def check_plan(plan: MixPlan, case: Case) -> None:
    size = case.batch["labels"].shape[0]
    plan = plan.mixed or plan
    own = torch.arange(size)
    assert torch.equal(plan.rows[:, 0], own)
    assert ((plan.rows >= 0) & (plan.rows < size)).all()
    for weights in (plan.weights, plan.targets):
        assert weights.shape == plan.rows.shape
        assert weights.dtype == torch.float32
        assert ((weights >= 0) & (weights <= 1)).all()
        torch.testing.assert_close(weights.sum(dim=1), torch.ones(size))
    assert ((plan.lam >= 0) & (plan.lam <= 1 + 1e-6)).all()
    if case.config.partner == "random":
        assert (plan.rows[:, 1:] != own.unsqueeze(1)).all()
        assert all(sorted(partners) == own.tolist() for partners in plan.rows.T[1:].tolist())
    if plan.strategy.name in BLENDING:
        assert not case.config.fold_lam or torch.equal(plan.weights[:, 0], plan.weights.amax(dim=1))
        alike = case.config.lam != "similarity" and not case.config.per_sample
        assert not alike or len({tuple(weights) for weights in plan.weights.tolist()}) == 1
    if case.config.partner == "easy_hard" and plan.strategy.name != "batch":
        partner = plan.rows[:, 1]
        assert torch.equal(partner[partner], own)
        assert (partner == own).sum() == size % 2
    assert (plan.soft_labels is not None) == (case.config.targets == "trust")
    if plan.soft_labels is not None:
        torch.testing.assert_close(plan.soft_labels.sum(dim=1), torch.ones(size, dtype=plan.soft_labels.dtype))
    assert all(
        len(found) == len(set(found)) for found in ([j for j in row[1:] if j != row[0]] for row in plan.rows.tolist())
    )


def check_loss(case: Case, loss: torch.Tensor, logits: torch.Tensor, plan: MixPlan | None) -> None:
    """Points 1 and 4: the loss is that of the blended targets, or the ordinary one."""
    size = case.batch["labels"].shape[0]
    if plan is not None and plan.clean:
        return  # its logits are those of the clean half
    rows = plan.rows.tolist() if plan is not None else [[i] for i in range(size)]
    weights = plan.targets.tolist() if plan is not None else [[1.0]] * size
    labels = case.batch["labels"].tolist()
    if plan is not None and plan.soft_labels is not None:
        inputs = {name: value for name, value in case.batch.items() if name != "labels"}
        likely = case.model.eval()(**inputs).logits.softmax(dim=1)
        case.model.train()
        labels = loops.trusted(likely.tolist(), labels, case.config.trust)
    balanced = [sum(COUNTS) / (len(COUNTS) * count) for count in COUNTS]
    expected = loops.blended_loss(
        logits.tolist(),
        labels,
        rows,
        weights,
        "single_label_classification",
        smoothing=case.loss.label_smoothing,
        class_weights=balanced if case.loss.class_weights else None,
        gamma=case.loss.focal_gamma,
    )
    assert loss.item() == pytest.approx(expected, abs=1e-6, rel=1e-6)


def passes_of(strategy: str, config: MixConfig) -> int:
    """Say how often a mixed step runs the network."""
    by_confidence = config.targets == "trust" or (config.partner == "easy_hard" and strategy != "batch")
    return 1 + (strategy == "ssmix") + by_confidence


def check_contract(case: Case) -> None:
    model, batch, size = case.model, case.batch, case.batch["labels"].shape[0]
    model.config.problem_type = "single_label_classification"
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    before = (hooks(model), set(vars(model)), list(model.state_dict()))
    with counting_blocks(model) as single:
        bare = model(**inputs).logits
    state = torch.get_rng_state()

    with attach(model, case.config, loss=case.loss, seed=case.seed) as mixer:
        model.eval()
        # The stock models cannot score soft labels.
        assert torch.equal(model(**(inputs if batch["labels"].dim() > 1 else batch)).logits, bare)
        model.train()
        assert torch.equal(model(**inputs).logits, bare)
        assert list(model.state_dict()) == before[2]
        assert mixer.plan is None

    model.zero_grad()
    with counting_blocks(model) as counts:
        loss, logits, mixer = case.run()
    loss.backward()
    assert (hooks(model), set(vars(model)), list(model.state_dict())) == before
    assert torch.equal(torch.get_rng_state(), state)
    passes = 1 if mixer.plan is None else passes_of(mixer.plan.strategy.name, case.config)
    assert counts == {block: passes * count for block, count in single.items()}
    assert torch.isfinite(loss)
    assert logits.shape == bare.shape
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)

    plan = mixer.plan
    idle = case.config.strategy == "none" or case.config.probability == 0 or case.progress < case.config.start
    assert plan is None or (size > 1 and not idle)
    assert plan is not None or size == 1 or idle or case.config.probability < 1
    if plan is None:
        assert torch.equal(logits, bare)
    else:
        check_plan(plan, case)
    check_loss(case, loss, logits, plan)

    again, same, _ = case.run()
    assert torch.equal(again, loss)
    assert torch.equal(same, logits)
    if "attention_mask" in batch:
        other_ids = torch.where(batch["attention_mask"].bool(), batch["input_ids"], 7)
        # Some models read a position that is masked: BERT pools the first, where a row may be padded on the left.
        if torch.allclose(model(**{**inputs, "input_ids": other_ids}).logits, bare, rtol=0, atol=1e-12):
            unseen, _, _ = case.run({**batch, "input_ids": other_ids})
            torch.testing.assert_close(unseen, loss, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("strategy", list(STRATEGIES))
@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_every_strategy_holds_to_the_contract(strategy: str, data: st.DataObject) -> None:
    check_contract(data.draw(cases(strategy)))


PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"


@pytest.fixture
def own_strategy() -> Iterator[str]:
    """Register the strategy of the documentation for one test."""
    section = PAGE.read_text(encoding="utf-8").split("## A strategy of your own")[1]
    known = set(STRATEGIES)
    exec(compile(re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)[0], str(PAGE), "exec"), {})  # ours
    (name,) = set(STRATEGIES) - known
    yield name
    del STRATEGIES[name]


class TestAStrategyOfYourOwn:
    def test_it_mixes_as_the_page_says(self, own_strategy: str) -> None:
        model = model_of("BERT")
        ids, labels = torch.arange(5, 29).view(4, 6), torch.tensor([0, 1, 2, 0])
        seen: list[torch.Tensor] = []
        first = model.base_model.encoder.layer[0]
        with attach(model, strategy=own_strategy, per_sample=True) as mixer:
            handle = first.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
            output = model(input_ids=ids, labels=labels)
            handle.remove()
        hidden, mixed, plan = model.base_model.embeddings(ids), seen[0], mixer.plan
        for i, j in enumerate(plan.partner.tolist()):
            stays = (mixed[i] == hidden[i]).all(dim=0)
            comes = (mixed[i] == hidden[j]).all(dim=0)
            assert (stays ^ comes).all()
            assert plan.lam[i].item() == pytest.approx(stays.double().mean().item())
        assert 0 < plan.lam.mean() < 1
        assert torch.isfinite(output.loss)

    def test_it_holds_to_the_contract(self, own_strategy: str) -> None:
        @given(case=cases(own_strategy))
        @settings(deadline=None, max_examples=50)
        def check(case: Case) -> None:
            check_contract(case)

        check()
