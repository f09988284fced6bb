"""Nothing is left on the CPU: tensors without data stand in for a GPU, since they refuse to meet those of the CPU."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from tests.mixing.batches import generator, random_batch
from tests.mixing.test_sampling import KINDS
from tests.mixing.test_strategies import MIXING, tensors
from tests.support.strategies import mix
from textmix.mixing import sampling
from textmix.mixing.batch import MixBatch
from textmix.mixing.confidence import trusted_labels
from textmix.mixing.config import MixConfig
from textmix.mixing.functional import union_mask
from textmix.mixing.losses import Scoring, blended_accuracy, plain_loss, unmixed
from textmix.mixing.plan import with_clean_rows
from textmix.mixing.registry import build_strategy

META = torch.device("meta")


def meta_batch() -> MixBatch:
    batch = random_batch(size=6)
    moved = {name: getattr(batch, name).to(META) for name in ("labels", "input_ids", "mask", "special_ids")}
    means, saliency = batch.means.to(META), batch.saliency.to(META)
    finders = {"find_means": lambda: means, "find_saliency": lambda: saliency}
    likely = batch.probabilities.to(META)
    return replace(batch, device=META, find_probabilities=lambda: likely, **finders, **moved)


@pytest.mark.parametrize("lam", ["beta", "similarity"])
@pytest.mark.parametrize("strategy", [name for name in MIXING if name != "any"])
def test_every_strategy_draws_and_applies_on_the_device_of_the_batch(
    strategy: str, lam: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # there is none for such tensors
    batch = meta_batch()
    built = build_strategy(mix(strategy, lam=lam))
    site = built.sites(2)[0]
    plan = built.draw(batch, site, generator())
    doubled = with_clean_rows(plan)
    assert {tensor.device for tensor in tensors(plan) + tensors(doubled)} == {META}
    hidden = torch.randn(6, 7, 3, device=META)
    for made, given, mask in (
        (plan, hidden, batch.mask),
        (doubled, torch.cat([hidden, hidden]), torch.cat([batch.mask, batch.mask])),
    ):
        assert built.apply(made, given, mask).device == META
        assert union_mask(mask, made.rows).device == META
    targets, weights = built.token_targets(plan, torch.zeros(6, 7, dtype=torch.long, device=META))
    assert {targets.device, weights.device, plan.lam.device} == {META}


@pytest.mark.parametrize("partner", ["random", *KINDS])
@pytest.mark.parametrize("mask", [True, False])
def test_partners_are_found_there(partner: str, mask: bool) -> None:
    batch = meta_batch() if mask else replace(meta_batch(), mask=None)
    assert sampling.draw_rows(batch, 3, MixConfig(partner=partner), generator()).device == META


def test_labels_are_trusted_there() -> None:
    batch = meta_batch()
    assert trusted_labels(batch.probabilities, batch.labels, 0.5).device == META


@pytest.mark.parametrize("kind", ["single_label_classification", "multi_label_classification", "regression"])
def test_rows_are_scored_there(kind: str) -> None:
    logits, plain = torch.randn(6, 3, device=META), kind == "regression"
    scoring = Scoring() if plain else Scoring(0.1, torch.ones(3, device=META), 2.0)
    labels = torch.zeros(6, 3, device=META)
    assert plain_loss(logits, labels, kind, None, scoring).device == META
    classes = torch.zeros(6, dtype=torch.long, device=META)
    assert plain_loss(logits, classes, None).device == META
    assert blended_accuracy(logits, unmixed(classes, "single_label_classification")).device == META
