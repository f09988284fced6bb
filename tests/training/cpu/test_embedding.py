from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import PreTrainedModel, T5Config, T5ForSequenceClassification

from tests.conftest import TOPICS, topic_rows
from textmix import TextCNN, TextCNNConfig
from textmix.config.train import TrainConfig
from textmix.data.tokenization import LazyTokens, tokenize
from textmix.errors import RunError, TrainingInterrupted
from textmix.mixing.config import MixConfig
from textmix.mixing.loss_config import LossConfig
from textmix.mixing.registry import STRATEGIES, StrategyEntry
from textmix.mixing.site_names import EMBEDDINGS, TOKENS
from textmix.mixing.strategy import Strategy
from textmix.models.words.tokenizer_training import train_tokenizer
from textmix.training.cpu.embedding import GatheredEmbedding, gather_embedding, gathered_embeddings, scatter_embeddings
from textmix.training.optimization import build_optimizer
from textmix.training.trainer import MixupTrainer

NAMES = sorted(TOPICS)
ROWS = topic_rows(40)
TOKENIZER = train_tokenizer([text for text, _ in ROWS])
SIZE = 3 * len(TOKENIZER)  # two of three tokens are in no row
NONE = MixConfig(strategy="none")
TEXTS = Dataset.from_dict({"text": [text for text, _ in ROWS]})
LABELS = [NAMES.index(label) for _, label in ROWS]
DATA = tokenize(TEXTS, TOKENIZER, LABELS)


def textcnn(**options: Any) -> TextCNN:
    torch.manual_seed(0)
    sizes = {"vocab_size": SIZE, "embedding_dim": 16, "num_filters": 8, "num_labels": 3, "dropout": 0.0, **options}
    return TextCNN(TextCNNConfig(problem_type="single_label_classification", **sizes))


def gathered(**options: Any) -> TextCNN:
    model = textcnn(**options)
    gather_embedding(model, TOKENIZER, DATA, NONE)
    assert gathered_embeddings(model) == [model.embeddings]
    return model


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_training_changes_every_vector_as_with_the_whole_table(decay: float) -> None:
    # Against a plain AdamW over the whole table, in float64, with a rate that changes.
    plain, model = textcnn().double(), gathered().double()
    reference = torch.optim.AdamW([{"params": [p], "weight_decay": decay * (p.dim() > 1)} for p in plain.parameters()])
    ours = build_optimizer(model, 1e-3, decay)
    for step in range(12):
        batch = TOKENIZER.pad([DATA[(3 * step + number) % len(DATA)] for number in range(5)], return_tensors="pt")
        for trained, optimizer in ((plain, reference), (model, ours)):
            for group in optimizer.param_groups:
                group["lr"] = 0.01 * (step + 1)
            optimizer.zero_grad()
            trained(**batch).loss.backward()
            optimizer.step()
    before = textcnn().embeddings.weight
    after = model.state_dict()["embeddings.weight"]
    torch.testing.assert_close(model.state_dict(), plain.state_dict(), rtol=1e-12, atol=1e-12)
    untrained = torch.isclose(after[-len(TOKENIZER) :], before[-len(TOKENIZER) :].double())
    assert bool(untrained.all()) == (decay == 0)  # the last ones are in no row: only decay moves them
    assert ours.state[model.embeddings.weight]["exp_avg"].shape == (len(TOKENIZER), 16)


def test_the_state_is_that_of_the_whole_table_and_evaluation_knows_every_token() -> None:
    plain, model = textcnn().eval(), gathered().eval()
    assert same(model.state_dict(), plain.state_dict())
    ids = torch.arange(SIZE).view(3, -1)
    assert torch.equal(model.embeddings(ids), plain.embeddings(ids))
    assert torch.equal(model(input_ids=ids).logits, plain(input_ids=ids).logits)


def test_loading_changes_the_parameter_that_the_optimizer_has() -> None:
    other, model = textcnn(), gathered()
    with torch.no_grad():
        other.embeddings.weight.add_(torch.randn(SIZE, 16))
    weight = model.embeddings.weight
    assert model.load_state_dict(other.state_dict()).missing_keys == []
    assert model.embeddings.weight is weight
    assert same(model.state_dict(), other.state_dict())
    smaller = textcnn(vocab_size=SIZE - 1).state_dict()
    with pytest.raises(RuntimeError, match=r"size mismatch for embeddings\.weight"):
        model.load_state_dict(smaller)
    del smaller["embeddings.weight"]
    assert model.load_state_dict(smaller, strict=False).missing_keys == ["embeddings.weight"]


def test_undone_it_is_the_plain_embedding() -> None:
    plain, model = textcnn(), gathered()
    embeddings = model.embeddings
    scatter_embeddings(model)
    assert embeddings is model.embeddings
    assert type(embeddings) is nn.Embedding
    assert vars(embeddings).keys() == vars(plain.embeddings).keys()
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert list(model.buffers()) == list(plain.buffers())
    assert same(model.state_dict(), plain.state_dict())
    assert embeddings.weight.requires_grad


def test_the_vector_of_padding_gets_no_gradient() -> None:
    model = gathered()
    assert model.embeddings.padding_row is not None
    batch = TOKENIZER.pad([DATA[0], {**DATA[1], "input_ids": [7], "attention_mask": [1]}], return_tensors="pt")
    model.embeddings(batch["input_ids"]).sum().backward()
    gradient = model.embeddings.weight.grad
    assert gradient is not None
    assert not gradient[model.embeddings.padding_row].any()
    assert gradient.any()


def test_tokens_of_other_rows_are_in_use_once_they_are_gathered_anew() -> None:
    model = gathered()
    with pytest.raises(IndexError):
        model(input_ids=torch.tensor([[SIZE - 1]]))
    rows = [{**DATA[0], "input_ids": [SIZE - 1], "attention_mask": [1], "token_type_ids": [SIZE - 2]}]
    gather_embedding(model, TOKENIZER, Dataset.from_list(rows), NONE)
    assert torch.equal(model.state_dict()["embeddings.weight"], textcnn().embeddings.weight)
    model(input_ids=torch.tensor([[SIZE - 1, SIZE - 2]]))
    with pytest.raises(IndexError):
        model(input_ids=torch.tensor([[SIZE - 3]]))


class Noise(Strategy):
    """Puts in random tokens, as a user's strategy may."""

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        return (TOKENS,)


class Doubling(Noise):
    """Mixes at the embeddings, where there are no tokens to put in."""

    def sites(self, num_blocks: int) -> tuple[str, ...]:
        return (EMBEDDINGS,)


def test_what_might_not_be_the_same_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for strategy in (Noise, Doubling):
        name = strategy.__name__.lower()
        monkeypatch.setitem(STRATEGIES, name, StrategyEntry(name, "", "", partial(lambda kind: kind, strategy)))

    def changes(model: PreTrainedModel, data: Any = DATA, mix: MixConfig = NONE) -> bool:
        gather_embedding(model, TOKENIZER, data, mix)
        return bool(gathered_embeddings(model))

    assert changes(textcnn())
    assert changes(
        textcnn(), mix=MixConfig(strategy="any", any={"choices": {"cutmix": 1.0, "word": 1.0, "doubling": 1.0}})
    )
    assert not changes(textcnn(), mix=MixConfig(strategy="noise"))
    assert not changes(textcnn(), mix=MixConfig(strategy="any", any={"choices": {"word": 1.0, "noise": 1.0}}))
    assert not changes(textcnn(), LazyTokens(TEXTS, TOKENIZER, LABELS))  # not known beforehand
    assert not changes(textcnn(vocab_size=len(TOKENIZER)))  # nearly all are in use
    assert not changes(textcnn(), DATA.with_transform(lambda rows: rows))
    assert not changes(textcnn(static_embeddings=True))
    spread = textcnn()
    spread.embeddings.forward = spread.embeddings.forward  # as accelerate does to spread a model over devices
    assert not changes(spread)
    scaled = textcnn()
    scaled.embeddings.max_norm = 1.0
    assert not changes(scaled)
    tied = textcnn()
    tied.other = nn.Linear(16, SIZE, bias=False)
    tied.other.weight = tied.embeddings.weight
    assert not changes(tied)
    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2, "num_labels": 3}
    assert not changes(T5ForSequenceClassification(T5Config(vocab_size=SIZE, decoder_start_token_id=0, **sizes)))


def trainer(directory: Path, strategy: str = "none", **options: Any) -> MixupTrainer:
    config = TrainConfig(
        **{"epochs": 2, "batch_size": 8, "learning_rate": 5e-3, "precision": "fp32", "weight_decay": 0.1, **options}
    )
    mix = MixConfig(strategy=strategy)
    if strategy == "word":
        mix = MixConfig(strategy=strategy, partner="nearest")  # which looks at the embeddings
    rows = tokenize(TEXTS, TOKENIZER, LABELS)
    return MixupTrainer(textcnn(dropout=0.5), TOKENIZER, rows, rows, NAMES, config, mix, LossConfig(), directory)


@pytest.mark.parametrize("strategy", ["word", "cutmix", "ssmix"])
def test_the_trainer_gathers_and_leaves_the_whole_table(
    tmp_path: Path, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(tmp_path / "gathered", strategy)
    assert isinstance(run._bare_model.embeddings, GatheredEmbedding)
    run.train()
    assert type(run._bare_model.embeddings) is nn.Embedding
    monkeypatch.setattr("textmix.training.trainer.gather_embedding", lambda *_: None)
    whole = trainer(tmp_path / "whole", strategy)
    assert type(whole._bare_model.embeddings) is nn.Embedding
    whole.train()
    # The norm of the gradients is summed in another order.
    torch.testing.assert_close(run._bare_model.state_dict(), whole._bare_model.state_dict(), rtol=1e-4, atol=1e-5)
    saved = [TextCNN.from_pretrained(tmp_path / name / "model").state_dict() for name in ("gathered", "whole")]
    torch.testing.assert_close(saved[0], saved[1], rtol=1e-4, atol=1e-5)


def interrupt(run: MixupTrainer) -> None:
    signals = iter([0, 0, 0, 2])
    run._asked = lambda guard: next(signals)  # type: ignore[method-assign]
    with pytest.raises(TrainingInterrupted):
        run.train()


@pytest.mark.parametrize("average", [None, 0.9])
def test_an_interrupted_run_ends_as_the_uninterrupted_one(tmp_path: Path, average: float | None) -> None:
    options = {"ema_decay": average, "save_steps": 3}
    whole = trainer(tmp_path / "whole", **options)
    whole.train()
    run = trainer(tmp_path / "parts", **options)
    interrupt(run)
    resumed = trainer(tmp_path / "parts", **options)
    resumed.train(resume=True)
    assert same(resumed._bare_model.state_dict(), whole._bare_model.state_dict())
    saved = [TextCNN.from_pretrained(tmp_path / name / "model").state_dict() for name in ("whole", "parts")]
    assert same(saved[0], saved[1])
    assert saved[0]["embeddings.weight"].shape == (SIZE, 16)


def test_a_checkpoint_of_the_whole_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("textmix.training.trainer.gather_embedding", lambda *_: None)
        interrupt(trainer(tmp_path))
    with pytest.raises(RunError, match=r"does not fit its config\.yaml or its data.*the optimizer kept \(105, 16\)"):
        trainer(tmp_path).train(resume=True)
