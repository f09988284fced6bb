"""The Python code of the documentation runs: the blocks of a page one after the other, on tiny models."""

import re
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForSequenceClassification

import textmix
from tests.docs.pages import PAGES, Block, Page
from tests.support.topics import topic_rows
from textmix import MixConfig, MixupForSequenceClassification
from textmix.cli.main import main
from textmix.mixing.registry import STRATEGIES
from textmix.models.bundled import resolve_model_path

# In no extra: blocks that import them run only where they are installed.
IN_NO_EXTRA = ("captum", "shap", "setfit")


def runs_here(block: Block) -> bool:
    imported = re.findall(r"^(?:from|import) (\w+)", block.code, flags=re.MULTILINE)
    return all(find_spec(name) is not None for name in IN_NO_EXTRA if name in imported)


def run_blocks(page: Page, names: dict[str, Any]) -> dict[str, Any]:
    """Run the blocks of a page in one namespace, with the line numbers of the page in tracebacks."""
    for block in filter(runs_here, page.blocks("python")):
        code = "\n" * (block.line - 1) + block.code
        exec(compile(code, page.path, "exec"), names)  # it is ours
    return names


def given() -> dict[str, Any]:
    """What the pages take for granted: a model in training mode, its tokenizer, data, and an optimizer."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForSequenceClassification(BertConfig(**sizes, num_labels=3)).train()
    tokenizer = AutoTokenizer.from_pretrained(resolve_model_path("minilm"))
    texts, topics = zip(*topic_rows(36), strict=True)
    classes = sorted(set(topics))
    rows = {**tokenizer(list(texts), padding=True), "labels": [classes.index(topic) for topic in topics]}
    train = Dataset.from_dict(dict(rows))
    return {
        "model": model,
        "tokenizer": tokenizer,
        "train": train,
        "loader": DataLoader(train.with_format("torch"), batch_size=8),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3),
        "texts": list(texts),
        "labels": list(topics),
    }


@pytest.fixture
def names(in_tmp_path: Path) -> dict[str, Any]:
    return given()


TESTED_BELOW = (
    "docs/trainer.md",
    "docs/python.md",
    "docs/prediction.md",
    "docs/strategies.md",
    "docs/other_libraries.md",
    "docs/models.md",
    "docs/few_labels.md",
)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.blocks("python") and page.path not in TESTED_BELOW],
    ids=lambda page: page.path,
)
def test_they_run(page: Page, names: dict[str, Any]) -> None:
    run_blocks(page, names)


def test_the_trainer_logs_what_was_mixed(names: dict[str, Any]) -> None:
    trainer = run_blocks(Page("docs/trainer.md"), names)["trainer"]
    assert "mix_lam" in trainer.state.log_history[0]
    assert "mixer" not in vars(names["model"])


def test_the_model_is_mixed_and_loads_by_its_auto_class(
    names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_blocks(Page("docs/python.md"), names)
    assert len(re.findall(r"MixPlan\(manifold at \S+, lam=\[", capsys.readouterr().out)) == 2
    assert "mixer" not in vars(names["model"])
    assert names["reloaded"].config.pooling == "mean"
    assert names["reloaded"].mixer.config == names["classifier"].mixer.config


def test_the_predictor_takes_what_the_page_gives_it(names: dict[str, Any]) -> None:
    lines = [f"{text},{label}" for text, label in zip(names["texts"], names["labels"], strict=True)]
    Path("topics.csv").write_text("\n".join(["text,label", *lines, ""]))
    options = ["--data.source", "topics.csv", "--data.test_fraction", "0.4", "--data.validation_fraction", "0"]
    options += ["--model.name", "textcnn", "--mix.strategy", "word", "--train.epochs", "1"]
    assert main(["train", *options, "--output_dir", "runs/NAME"]) == 0
    run_blocks(Page("docs/prediction.md"), names)


def test_peft_takes_the_adapter_of_a_run(names: dict[str, Any]) -> None:
    lines = [f"{text},{label}" for text, label in zip(names["texts"], names["labels"], strict=True)]
    Path("topics.csv").write_text("\n".join(["text,label", *lines, ""]))
    options = ["--data.source", "topics.csv", "--model.name", "minilm", "--model.lora.rank", "8"]
    assert main(["train", *options, "--train.max_steps", "1", "--output_dir", "runs/NAME"]) == 0
    adapted = run_blocks(Page("docs/models.md"), names)["adapted"]
    batch = names["tokenizer"](["the soup is hot"], return_tensors="pt")
    saved = MixupForSequenceClassification.from_pretrained("runs/NAME/model")
    with torch.no_grad():
        torch.testing.assert_close(adapted.eval()(**batch).logits, saved.eval()(**batch).logits)


def test_few_labels_are_trained_on_with_a_pool(names: dict[str, Any]) -> None:
    few = partial(textmix.train, options={"contrastive.steps": 2, "unlabeled.max_rows": 10})
    names |= {"textmix": SimpleNamespace(train=few), "pool": [text for text, _ in topic_rows(12, seed=1)]}
    training = run_blocks(Page("docs/few_labels.md"), names)["training"]
    assert training.test is None
    assert training.metrics["train"]["steps"] >= 2


def test_other_libraries_take_a_saved_model(names: dict[str, Any]) -> None:
    classes = {name: number for number, name in enumerate(sorted(set(names["labels"])))}
    numbers = {number: name for name, number in classes.items()}
    saved = MixupForSequenceClassification.from_pretrained(
        "minilm", id2label=numbers, label2id=classes, mix=MixConfig(strategy="manifold")
    ).eval()
    saved.save_pretrained("runs/NAME/model")
    names["tokenizer"].save_pretrained("runs/NAME/model")
    names = run_blocks(Page("docs/other_libraries.md"), names)

    batch = names["tokenizer"](["the soup is hot"], return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(names["logits"], saved(**batch).logits)
        torch.testing.assert_close(torch.tensor(names["vectors"]), saved.pool(**batch))
        merged = AutoModelForSequenceClassification.from_pretrained("merged")
        torch.testing.assert_close(names["reloaded"](**batch).logits, merged(**batch).logits)
    assert {one["label"] for one in names["scores"][0]} == set(classes)
    assert MixupForSequenceClassification.from_pretrained("body").config.pooling == "mean"


def test_a_strategy_of_your_own_is_registered(names: dict[str, Any]) -> None:
    """tests/hooks/test_contract.py holds it to the contract."""
    known = set(STRATEGIES)
    run_blocks(Page("docs/strategies.md"), names)
    (name,) = set(STRATEGIES) - known
    del STRATEGIES[name]
