from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, PretrainedConfig

from tests.support.family_configs import bert_config, distilbert, esm, funnel, modernbert
from tests.support.masked_lm import masked_bert, piece_tokenizer
from textmix.config.adapt import AdaptConfig
from textmix.errors import TrainingError
from textmix.training.masked_lm.pieces import store_pieces
from textmix.training.masked_lm.trainer import MaskedTrainer, masked_logits

TEXTS = ["the goal of the match", "a soup with new bread", "some song and a very new tune"] * 20


def a_trainer(directory: Path, **options: Any) -> MaskedTrainer:
    tokenizer = piece_tokenizer()
    file = TemporaryFile(dir=directory)  # noqa: SIM115  # open as long as its pieces are used
    pieces = store_pieces([[[text] for text in TEXTS]], tokenizer, file)
    config = AdaptConfig(**{"batch_size": 12, "learning_rate": 3e-3, **options})
    return MaskedTrainer(masked_bert(), tokenizer, pieces, np.arange(len(TEXTS)), config, "fp32")


def test_the_loss_falls_on_a_repetitive_text(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path, epochs=20)
    assert trainer.total_steps == 100
    everything = np.arange(len(TEXTS))
    before = trainer.evaluate(everything)
    assert before == trainer.evaluate(everything)  # the same masks, and no dropout
    trainer.run()
    after = trainer.evaluate(everything)
    assert before is not None
    assert after is not None
    assert after.tokens == before.tokens > 20
    assert after.loss < 0.6 * before.loss
    assert after.accuracy > before.accuracy + 0.3


def test_max_steps_overrides_epochs_and_may_exceed_one(tmp_path: Path) -> None:
    assert a_trainer(tmp_path, epochs=20, max_steps=7).total_steps == 7


def test_no_score_without_masked_tokens(tmp_path: Path) -> None:
    assert a_trainer(tmp_path).evaluate(np.arange(0)) is None


def test_a_loss_that_is_not_finite_is_told(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"not finite at step .* --learning_rate"):
        trainer.run()


@pytest.mark.parametrize("family", [bert_config, distilbert, modernbert, esm, funnel])
def test_logits_of_chosen_tokens_are_those_of_all(family: Callable[[], PretrainedConfig]) -> None:
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(family()).eval()
    ids = torch.randint(5, 60, (3, 8))
    attention_mask = (torch.arange(8) < torch.tensor([[8], [5], [6]])).long()
    chosen = (torch.rand(3, 8) < 0.4) & attention_mask.bool()
    with torch.no_grad():
        every = model(input_ids=ids, attention_mask=attention_mask).logits
        torch.testing.assert_close(masked_logits(model, ids, attention_mask, chosen), every[chosen])
        assert model(input_ids=ids, attention_mask=attention_mask).logits.shape == every.shape  # the hook is gone
