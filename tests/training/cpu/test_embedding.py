from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import PreTrainedModel, T5Config, T5ForSequenceClassification

from tests.support.topics import TOPICS, topic_rows
from tests.support.trainer import on_loop
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
from textmix.tasks.single_label import Classes
from textmix.training.batches import EpochBatches
from textmix.training.cpu import embedding as module
from textmix.training.cpu.embedding import CompactEmbedding, compact_embedding, compact_embeddings
from textmix.training.loop import TrainingLoop
from textmix.training.optimization import build_optimizer
from textmix.training.trainer import MixupTrainer, TrainingData

NAMES = sorted(TOPICS)
ROWS = topic_rows(40)
TOKENIZER = train_tokenizer([text for text, _ in ROWS])
SIZE = 3 * len(TOKENIZER)  # two of three tokens are in no row
NONE = MixConfig(strategy="none")
TEXTS = Dataset.from_dict({"text": [text for text, _ in ROWS]})
LABELS = np.array([NAMES.index(label) for _, label in ROWS])
DATA = tokenize(TEXTS, TOKENIZER, LABELS)


def textcnn(**options: Any) -> TextCNN:
    torch.manual_seed(0)
    sizes = {"vocab_size": SIZE, "embedding_dim": 16, "num_filters": 8, "num_labels": 3, "dropout": 0.0, **options}
    return TextCNN(TextCNNConfig(problem_type="single_label_classification", **sizes))


@pytest.fixture
def compacted() -> Iterator[TextCNN]:
    model = textcnn()
    with compact_embedding(model, TOKENIZER, DATA, NONE):
        assert compact_embeddings(model) == [model.embeddings]
        yield model


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_training_changes_every_vector_as_with_the_whole_table(compacted: TextCNN, decay: float) -> None:
    # Against a plain AdamW over the whole table, in float64, with a rate that changes.
    plain, model = textcnn().double(), compacted.double()
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


def test_the_state_is_that_of_the_whole_table_and_evaluation_knows_every_token(compacted: TextCNN) -> None:
    plain, model = textcnn().eval(), compacted.eval()
    assert same(model.state_dict(), plain.state_dict())
    ids = torch.arange(SIZE).view(3, -1)
    assert torch.equal(model.embeddings(ids), plain.embeddings(ids))
    assert torch.equal(model(input_ids=ids).logits, plain(input_ids=ids).logits)


def test_loading_changes_the_parameter_that_the_optimizer_has(compacted: TextCNN) -> None:
    other, model = textcnn(), compacted
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


def test_afterwards_it_is_the_plain_embedding() -> None:
    plain, model = textcnn(), textcnn()
    embeddings = model.embeddings
    with compact_embedding(model, TOKENIZER, DATA, NONE):
        assert model.embeddings is not embeddings
        with torch.no_grad():
            model.embeddings.weight.add_(1)
    assert model.embeddings is embeddings
    assert type(embeddings) is nn.Embedding
    assert vars(embeddings).keys() == vars(plain.embeddings).keys()
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert list(model.buffers()) == list(plain.buffers())
    assert embeddings.weight.requires_grad
    changed = embeddings.weight != plain.embeddings.weight
    assert changed.any(dim=1).sum() == len(TOKENIZER)
    with torch.no_grad():
        embeddings.weight[changed] -= 1
    torch.testing.assert_close(model.state_dict(), plain.state_dict())


def test_the_vector_of_padding_gets_no_gradient(compacted: TextCNN) -> None:
    model = compacted
    assert model.embeddings.padding_row is not None
    batch = TOKENIZER.pad([DATA[0], {**DATA[1], "input_ids": [7], "attention_mask": [1]}], return_tensors="pt")
    model.embeddings(batch["input_ids"]).sum().backward()
    gradient = model.embeddings.weight.grad
    assert gradient is not None
    assert not gradient[model.embeddings.padding_row].any()
    assert gradient.any()


def test_tokens_of_other_rows_are_not_in_use() -> None:
    rows = [{**DATA[0], "input_ids": [SIZE - 1], "attention_mask": [1], "token_type_ids": [SIZE - 2]}]
    for data, known in ((DATA, False), (Dataset.from_list(rows), True)):
        model = textcnn()
        with compact_embedding(model, TOKENIZER, data, NONE):
            with nullcontext() if known else pytest.raises(IndexError):
                model(input_ids=torch.tensor([[SIZE - 1, SIZE - 2]]))  # GPT-2 looks up types in the table of tokens
            with pytest.raises(IndexError):
                model(input_ids=torch.tensor([[SIZE - 3]]))


def test_rows_tokenised_on_demand_are_searched_unless_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = LazyTokens(TEXTS, TOKENIZER, np.array(LABELS))

    def in_use(**options: Any) -> int:
        model = textcnn()
        with compact_embedding(model, TOKENIZER, lazy, NONE, **options):
            return sum(len(embedding.weight) for embedding in compact_embeddings(model))

    assert in_use() == len(TOKENIZER)
    words = {token for row in DATA.select([3, 7])["input_ids"][:] for token in row}
    assert in_use(rows=np.array([3, 7])) == len(words | set(TOKENIZER.all_special_ids))
    monkeypatch.setattr(module, "_TOKENIZED_AT_ONCE", 7)
    assert in_use() == len(TOKENIZER)
    monkeypatch.setattr(module, "IN_MEMORY", len(TEXTS) - 1)
    assert in_use() == 0
    assert in_use(rows=np.array([3, 7])) > 0


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
        with compact_embedding(model, TOKENIZER, data, mix):
            return bool(compact_embeddings(model))

    assert changes(textcnn())
    assert changes(
        textcnn(), mix=MixConfig(strategy="any", any={"choices": {"cutmix": 1.0, "word": 1.0, "doubling": 1.0}})
    )
    assert not changes(textcnn(), mix=MixConfig(strategy="noise"))
    assert not changes(textcnn(), mix=MixConfig(strategy="any", any={"choices": {"word": 1.0, "noise": 1.0}}))
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
    data = TrainingData(rows, rows, Classes(NAMES))
    return MixupTrainer(textcnn(dropout=0.5), TOKENIZER, data, config, mix, LossConfig(), directory)


def embeddings_while_training(run: MixupTrainer) -> list[type[nn.Module]]:
    """The type of the embeddings once the loop is ready; filled when the trainer trains."""
    seen: list[type[nn.Module]] = []
    on_loop(run, lambda loop: seen.append(type(loop.bare_model.embeddings)))
    return seen


@pytest.mark.parametrize("strategy", ["word", "cutmix", "ssmix"])
def test_the_trainer_trains_the_rows_in_use_and_leaves_the_whole_table(tmp_path: Path, strategy: str) -> None:
    run, whole = trainer(tmp_path / "compact", strategy), trainer(tmp_path / "whole", strategy, cpu_speedups=False)
    seen = [embeddings_while_training(one) for one in (run, whole)]
    dropout = run.model.dropout
    with pytest.MonkeyPatch.context() as patched:  # the same masks in both
        patched.setattr("textmix.training.trainer.byte_dropout", lambda model: nullcontext())
        run.train()
        whole.train()
    assert seen == [[CompactEmbedding], [nn.Embedding]]
    for one in (run, whole):
        assert type(one.model.embeddings) is nn.Embedding
    assert run.model.dropout is dropout
    # The norm of the gradients is summed in another order.
    torch.testing.assert_close(run.model.state_dict(), whole.model.state_dict(), rtol=1e-4, atol=1e-5)
    saved = [TextCNN.from_pretrained(tmp_path / name / "model").state_dict() for name in ("compact", "whole")]
    torch.testing.assert_close(saved[0], saved[1], rtol=1e-4, atol=1e-5)


def test_a_number_of_steps_trains_the_rows_of_those_steps(tmp_path: Path) -> None:
    """Also where rows are tokenised on demand: theirs are the tokens in use."""
    run = trainer(tmp_path, max_steps=2, batch_size=4, group_by_length=False)
    lazy = LazyTokens(TEXTS, TOKENIZER, np.array(LABELS))
    run.data = TrainingData(lazy, lazy, Classes(NAMES))
    sizes: list[int] = []
    on_loop(run, lambda loop: sizes.append(len(loop.bare_model.embeddings.weight)))
    run.train()
    used = [row for batch in islice(EpochBatches(len(TEXTS), 4, 0), 2) for row in batch]
    tokens = {token for row in DATA.select(used)["input_ids"][:] for token in row} | set(TOKENIZER.all_special_ids)
    assert sizes == [len(tokens)]
    assert len(tokens) < len(TOKENIZER)


def interrupt(run: MixupTrainer) -> None:
    signals = iter([0, 0, 0, 2])

    def change(loop: TrainingLoop) -> None:
        loop._received_signal = lambda guard: next(signals)  # type: ignore[method-assign]

    on_loop(run, change)
    with pytest.raises(TrainingInterrupted):
        run.train()


@pytest.mark.parametrize("average", [None, 0.9])
def test_an_interrupted_run_ends_as_the_uninterrupted_one(tmp_path: Path, average: float | None) -> None:
    options = {"ema_decay": average, "save_steps": 3}
    whole = trainer(tmp_path / "whole", **options)
    whole.train()
    interrupt(trainer(tmp_path / "parts", **options))
    resumed = trainer(tmp_path / "parts", **options)
    resumed.train(resume=True)
    assert same(resumed.model.state_dict(), whole.model.state_dict())
    saved = [TextCNN.from_pretrained(tmp_path / name / "model").state_dict() for name in ("whole", "parts")]
    assert same(saved[0], saved[1])
    assert saved[0]["embeddings.weight"].shape == (SIZE, 16)


def test_a_checkpoint_of_the_whole_table_is_refused(tmp_path: Path) -> None:
    interrupt(trainer(tmp_path, cpu_speedups=False))
    with pytest.raises(
        RunError, match=r"does not fit its config\.yaml or its data.*the optimizer has state of shape \(105, 16\)"
    ):
        trainer(tmp_path).train(resume=True)
