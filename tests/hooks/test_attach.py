"""The contract of the mixer, over every strategy and models that differ in structure."""

import pytest
import torch
from torch import nn

from tests.support.batches import Batch, ragged_batch, unlabelled
from tests.support.counting import counting_blocks, hooks
from tests.support.families import BY_NAME, QUICK, fresh
from tests.support.strategies import MIXING, mix
from textmix.hooks.attach import attach
from textmix.mixing.registry import STRATEGIES


def covering(strategies: list[str]) -> list[tuple[str, str]]:
    """Pair each model with two strategies, so that each strategy meets a model at least."""
    count = len(strategies)
    pairs = [(name, strategies[(i + j) % count]) for i, name in enumerate(QUICK) for j in (0, count // 2)]
    assert {strategy for _, strategy in pairs} == set(strategies)
    return pairs


# They count positions, or find the last token, by the id of padding.
PLACED_BY_PADDING = ("RoBERTa", "Llama")


@pytest.fixture
def batch(name: str) -> Batch:
    """Rows padded as the model expects it."""
    return ragged_batch(BY_NAME[name].pad)


@pytest.mark.parametrize(("name", "strategy"), covering(list(STRATEGIES)))
class TestPureOutsideTraining:
    def test_eval_logits_are_bit_identical(self, batch: Batch, name: str, strategy: str) -> None:
        model = fresh(name).eval()
        bare = model(**unlabelled(batch)).logits
        with attach(model, mix(strategy)):
            assert torch.equal(model(**batch).logits, bare)
            assert torch.equal(model(**unlabelled(batch)).logits, bare)

    def test_no_labels_no_chance_and_one_row_are_unmixed(self, batch: Batch, name: str, strategy: str) -> None:
        model = fresh(name)
        bare = model(**unlabelled(batch)).logits
        first = {key: value[:1] for key, value in batch.items()}
        bare_first = model(**unlabelled(first)).logits
        with attach(model, mix(strategy)) as mixer:
            assert torch.equal(model(**unlabelled(batch)).logits, bare)
            alone = model(**first)
            assert torch.equal(alone.logits, bare_first)
            assert mixer.plan is None
        with attach(model, mix(strategy, probability=0.0)):
            output = model(**batch)
            assert torch.equal(output.logits, bare)
            loss = nn.functional.cross_entropy(bare, batch["labels"])
            assert output.loss.item() == pytest.approx(loss.item(), abs=1e-12)

    def test_detach_leaves_nothing_behind(self, batch: Batch, name: str, strategy: str) -> None:
        model = fresh(name)
        before = (hooks(model), set(vars(model)), list(model.state_dict()), model.config.to_dict())
        bare = model(**unlabelled(batch)).logits
        mixer = attach(model, mix(strategy))
        assert list(model.state_dict()) == before[2]
        model(**batch).loss.backward()
        assert model.config.to_dict() == before[3]
        mixer.detach()
        assert (hooks(model), set(vars(model)), list(model.state_dict()), model.config.to_dict()) == before
        assert torch.equal(model(**unlabelled(batch)).logits, bare)

    def test_one_forward_pass(self, batch: Batch, name: str, strategy: str) -> None:
        model = fresh(name)
        with counting_blocks(model) as bare:
            model(**unlabelled(batch))
        with attach(model, mix(strategy)), counting_blocks(model) as counts:
            model(**batch)
        passes = 2 if strategy == "ssmix" else 1  # which looks for salient tokens first
        assert counts == {block: passes * count for block, count in bare.items()}


@pytest.mark.parametrize(("name", "strategy"), covering(MIXING))
class TestMixing:
    def test_padding_never_matters(self, batch: Batch, name: str, strategy: str) -> None:
        """More padding, and other ids in it, change neither logits nor loss nor any gradient but rounding."""
        model = fresh(name)
        wide = {key: nn.functional.pad(batch[key], (0, 3)) for key in ("input_ids", "attention_mask")}
        other_ids = BY_NAME[name].pad if name in PLACED_BY_PADDING else 7
        wide["input_ids"] = torch.where(wide["attention_mask"].bool(), wide["input_ids"], other_ids)
        results = []
        for given in (batch, {**wide, "labels": batch["labels"]}):
            model.zero_grad()
            with attach(model, mix(strategy, per_sample=True), seed=5):
                output = model(**given)
                output.loss.backward()
            last = [p.grad.flatten() for n, p in model.named_parameters() if n.startswith(("classifier", "score"))]
            results.append((output.logits.detach(), output.loss.detach(), torch.cat(last)))
        for first, second in zip(*results, strict=True):
            torch.testing.assert_close(first, second, atol=1e-9, rtol=1e-9)

    def test_tuples_positions_and_missing_masks(self, batch: Batch, name: str, strategy: str) -> None:
        model = fresh(name)
        ids, labels = batch["input_ids"], batch["labels"]
        with attach(model, mix(strategy), seed=2):
            by_name = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels)
        with attach(model, mix(strategy), seed=2):
            without_mask = model(ids, labels=labels)
        assert torch.allclose(by_name.logits, without_mask.logits, atol=1e-9)
        assert torch.allclose(by_name.loss, without_mask.loss, atol=1e-9)

    def test_the_same_seed_repeats_the_same_losses(self, batch: Batch, name: str, strategy: str) -> None:
        model = fresh(name)
        runs = []
        for seed in (4, 4, 5):
            with attach(model, mix(strategy), seed=seed):
                runs.append([model(**batch).loss.item() for _ in range(4)])
        assert runs[0] == runs[1] != runs[2]

    def test_bfloat16_autocast(self, batch: Batch, name: str, strategy: str) -> None:
        model = fresh(name).float()
        with attach(model, mix(strategy), seed=3):
            exact = model(**batch).loss
        with attach(model, mix(strategy), seed=3), torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(**batch).loss
            loss.backward()
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact.item(), abs=0.05)
