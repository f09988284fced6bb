"""Partners and targets by the model's confidence, against plain loops."""

import pytest
import torch

from tests.mixing import loops
from tests.mixing.batches import generator, probabilities
from textmix.mixing.confidence import opposite_rows, trusted_labels
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.losses import IGNORED
from textmix.mixing.mixer import Mixer


def classes(size: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(3, (size,), generator=generator(seed))


class TestPairs:
    @pytest.mark.parametrize("size", [2, 3, 8, 33])
    @pytest.mark.parametrize("seed", range(5))
    def test_the_easiest_meets_the_hardest(self, size: int, seed: int) -> None:
        likely, labels = probabilities(size, seed), classes(size, seed)
        expected = loops.opposites(likely.tolist(), labels.tolist())
        found = opposite_rows(likely, labels).tolist()
        assert found == [expected.get(i, i) for i in range(size)]
        assert sorted(found) == list(range(size))
        assert [found[j] for j in found] == list(range(size))
        assert sum(i == j for i, j in enumerate(found)) == size % 2

    def test_a_worked_example(self) -> None:
        likely = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])
        labels = torch.tensor([0, 0, 1, 0])  # probabilities 0.9, 0.2, 0.4, 0.7
        assert opposite_rows(likely, labels).tolist() == [1, 0, 3, 2]

    def test_equal_rows_keep_their_order(self) -> None:
        assert opposite_rows(torch.full((4, 3), 1 / 3), classes(4)).tolist() == [3, 2, 1, 0]

    def test_an_ignored_row_is_the_easiest(self) -> None:
        likely, labels = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.1, 0.9]]), torch.tensor([0, 0, IGNORED])
        assert opposite_rows(likely, labels).tolist() == [2, 1, 0]


class TestTrust:
    @pytest.mark.parametrize("trust", [0.25, 1.0])
    def test_soft_labels_equal_a_loop(self, trust: float) -> None:
        likely, labels = probabilities(20, 1).double(), classes(20)
        expected = torch.tensor(loops.trusted(likely.tolist(), labels.tolist(), trust), dtype=torch.float64)
        found = trusted_labels(likely, labels, trust)
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
        torch.testing.assert_close(found.sum(dim=1), torch.ones(20, dtype=torch.float64))

    def test_a_sure_row_keeps_its_label_and_a_wrong_one_is_left_at_full_trust(self) -> None:
        likely = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.25, 0.75]])
        found = trusted_labels(likely, torch.tensor([0, 0, 0]), 1.0)
        assert found.tolist() == [[1.0, 0.0], [0.0, 1.0], [0.4375, 0.5625]]

    def test_an_ignored_row_has_no_label(self) -> None:
        assert trusted_labels(torch.tensor([[0.5, 0.5]]), torch.tensor([IGNORED]), 0.5).tolist() == [[0.0, 0.0]]


class TestLoss:
    LOGITS = torch.randn(7, 3, dtype=torch.float64, generator=generator(5))
    LIKELY = probabilities(7, 6)

    def mixed(self, labels: torch.Tensor, loss: LossConfig | None = None, **options: object) -> Mixer:
        config = MixConfig(targets="trust", trust=0.8, per_sample=True, **options)
        mixer = Mixer(config, loss or LossConfig(), num_blocks=2)
        mixer.plan = mixer.draw(labels, find_probabilities=lambda: self.LIKELY)
        return mixer

    @pytest.mark.parametrize("num_items", [None, 24])
    @pytest.mark.parametrize("regmix", [None, 0.5])
    @pytest.mark.parametrize("ignored", [False, True])
    def test_it_equals_a_loop(self, num_items: int | None, regmix: float | None, ignored: bool) -> None:
        labels, weights = classes(7, 2), torch.rand(7, generator=generator(1))
        if ignored:
            labels[2] = IGNORED
        loss = LossConfig(label_smoothing=0.1, class_weights=[1.0, 2.0, 0.5], focal_gamma=2.0)
        mixer = self.mixed(labels, loss, regmix=regmix, partner="easy_hard")
        plan = mixer.plan.mixed or mixer.plan
        logits = torch.cat([self.LOGITS, -self.LOGITS]) if regmix else self.LOGITS
        found = mixer.score(logits, labels, None, num_items, weights)
        soft = loops.trusted(self.LIKELY.tolist(), labels.tolist(), 0.8)
        given = {"smoothing": 0.1, "class_weights": [1.0, 2.0, 0.5], "gamma": 2.0, "num_items": num_items}
        given |= {"kind": "single_label_classification", "sample_weights": weights.tolist()}
        expected = loops.blended_loss(logits[-7:].tolist(), soft, plan.rows.tolist(), plan.weights.tolist(), **given)
        if regmix:
            own = [[i] for i in range(7)]
            clean = loops.blended_loss(logits[:7].tolist(), soft, own, [[1.0]] * 7, **given)
            expected = clean + regmix * expected
        assert found.item() == pytest.approx(expected, abs=1e-6)

    def test_accuracy_is_that_of_the_given_labels(self) -> None:
        labels = classes(7)
        mixer = self.mixed(labels, regmix=None)
        mixer.score(self.LOGITS, labels, None, None)
        hits, plan = self.LOGITS.argmax(1).unsqueeze(1) == labels[mixer.plan.rows], mixer.plan
        assert mixer.metrics["accuracy"].item() == pytest.approx((plan.weights * hits).sum(1).mean().item(), abs=1e-6)

    def test_a_row_alone_keeps_its_label(self) -> None:
        labels = classes(1)
        mixer = self.mixed(labels)
        assert mixer.plan is None
        expected = torch.nn.functional.cross_entropy(self.LOGITS[:1], labels)
        torch.testing.assert_close(mixer.score(self.LOGITS[:1], labels, None, None), expected)
