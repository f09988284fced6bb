"""MixupCallback in the real Trainer, on real text."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    EvalPrediction,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from tests.integrations.conftest import (
    MakeTrainer,
    MixupTrainer,
    Spy,
    tiny_bert,
    train,
    training_logs,
    weights,
    without_times,
)
from tests.support.counting import hooks
from textmix import LossConfig, MixConfig, MixupCallback, resolve_model_path
from textmix.mixing.registry import STRATEGIES

ROOT = Path(__file__).parent.parent.parent
# Its name before transformers 5.1, and since.
CHECKPOINTING = next(
    name for name in ("activation_checkpointing", "gradient_checkpointing") if hasattr(TrainingArguments, name)
)


def assert_equal_weights(first: Trainer, second: Trainer) -> None:
    for (name, one), two in zip(weights(first).items(), weights(second).values(), strict=True):
        assert torch.equal(one, two), name


def needs(strategy: str) -> dict[str, Any]:
    """Return what the callback cannot know."""
    return {"any": {"choices": {"word": 1, "cutmix": 1}}} if strategy == "any" else {}


def test_both_call_forms_are_the_same_and_mix(make_trainer: MakeTrainer) -> None:
    one = train(make_trainer, MixupCallback(strategy="manifold", alpha=0.4))
    two = train(make_trainer, MixupCallback(MixConfig(strategy="manifold", alpha=0.4)))
    bare = train(make_trainer)
    assert_equal_weights(one, two)
    assert without_times(one.state.log_history) == without_times(two.state.log_history)
    assert not torch.equal(one.model.classifier.weight, bare.model.classifier.weight)


def test_the_seed_is_the_trainers_unless_given(make_trainer: MakeTrainer) -> None:
    lams = {}
    for name, options in {"own": {}, "same": {"seed": 3}, "other": {"seed": 4}}.items():
        trainer = make_trainer(MixupCallback(strategy="word", **options), max_steps=2)
        trainer.train()
        lams[name] = [line["mix_lam"] for line in training_logs(trainer)]
    assert lams["own"] == lams["same"] != lams["other"]


def test_it_learns_real_text(make_trainer: MakeTrainer) -> None:
    def accuracy(prediction: EvalPrediction) -> dict[str, float]:
        return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}

    # As small as it is, it needs larger weights than BERT to begin with, and no dropout.
    model = tiny_bert(initializer_range=0.1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    options = {"model": model, "max_steps": 80, "learning_rate": 1e-2, "compute_metrics": accuracy}
    trainer = train(make_trainer, MixupCallback(strategy="word", alpha=0.4), **options)
    losses = [line["loss"] for line in training_logs(trainer)]
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:8])
    assert trainer.evaluate(trainer.train_dataset)["eval_accuracy"] > 0.9


@pytest.mark.slow
def test_minilm_learns_news_with_manifold_mixup(
    make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerBase, news: Dataset
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(resolve_model_path("minilm"), num_labels=5)
    rows = news.map(lambda row: tokenizer(row["text"], truncation=True, max_length=64))

    def accuracy(prediction: EvalPrediction) -> dict[str, float]:
        return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}

    trainer = make_trainer(
        MixupCallback(strategy="manifold", alpha=0.4),
        model=model,
        train_dataset=rows.select(range(128)),
        eval_dataset=rows.select(range(128, 160)),
        compute_metrics=accuracy,
        max_steps=40,
        learning_rate=2e-4,
    )
    trainer.train()
    assert trainer.evaluate()["eval_accuracy"] > 0.9


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_every_strategy_trains(make_trainer: MakeTrainer, strategy: str) -> None:
    callback = MixupCallback(strategy=strategy, **needs(strategy))
    spy = Spy(callback)
    trainer = make_trainer(callback, spy, max_steps=2)
    trainer.train()
    first, second = training_logs(trainer)
    assert all(np.isfinite(value) for value in [*first.values(), *second.values()])
    mixed = strategy != "none"
    assert first["mix_share"] == second["mix_share"] == mixed
    assert (first["mix_lam"] < 1) == mixed
    assert all((plan is not None) == mixed for plan in spy.plans)
    assert spy.bare
    assert not hooks(trainer.model)


class TestLogs:
    def test_figures_are_means_of_what_was_drawn(self, make_trainer: MakeTrainer) -> None:
        callback = MixupCallback(strategy="manifold", probability=0.7)
        spy = Spy(callback)
        trainer = make_trainer(callback, spy, max_steps=12, logging_steps=6)
        trainer.train()
        logs = training_logs(trainer)
        assert len(logs) == 2
        for line, plans in zip(logs, (spy.plans[:6], spy.plans[6:]), strict=True):
            lams = [1.0 if plan is None else plan.lam.mean().item() for plan in plans]
            assert line["mix_lam"] == pytest.approx(sum(lams) / 6, abs=1e-6)
            assert line["mix_share"] == pytest.approx(sum(plan is not None for plan in plans) / 6)
            for site in ("embeddings", "layer:1", "layer:2"):
                drawn = sum(plan is not None and plan.site == site for plan in plans)
                assert line[f"mix_at_{site.replace(':', '_')}"] == pytest.approx(drawn / 6)
            assert 0 <= line["mix_accuracy"] <= 1
        assert any(plan is None for plan in spy.plans)

    def test_every_strategy_of_any_has_its_share(self, make_trainer: MakeTrainer) -> None:
        trainer = make_trainer(
            MixupCallback(strategy="any", any={"choices": {"word": 1, "sentence": 3}}), max_steps=16, logging_steps=16
        )
        trainer.train()
        (line,) = training_logs(trainer)
        assert line["mix_by_word"] + line["mix_by_sentence"] == 1
        assert 0 < line["mix_by_word"] < line["mix_by_sentence"]

    def test_loggers_get_the_figures(self, make_trainer: MakeTrainer) -> None:
        class Logger(TrainerCallback):
            lines: list[dict[str, float]] = []  # noqa: RUF012

            def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
                self.lines.append(dict(logs))

        # Before the callback in the list, as the Trainer's own loggers are, and behind it.
        for callbacks, trainer_class in (
            ([Logger(), MixupCallback(strategy="word")], MixupTrainer),
            ([MixupCallback(strategy="word"), Logger()], Trainer),
        ):
            Logger.lines.clear()
            make_trainer(*callbacks, trainer_class=trainer_class, max_steps=1).train()
            assert {"mix_lam", "mix_accuracy", "mix_share"} <= Logger.lines[0].keys()
            assert not any(name.startswith("mix_") for name in Logger.lines[-1])

    def test_schedule_follows_the_steps(self, make_trainer: MakeTrainer) -> None:
        callback = MixupCallback(strategy="word", start=0.5)
        spy = Spy(callback)
        trainer = make_trainer(callback, spy, max_steps=4, gradient_accumulation_steps=2)
        trainer.train()
        assert spy.progress == [0.0, 0.0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
        assert [line["mix_share"] for line in training_logs(trainer)] == [0.0, 0.0, 1.0, 1.0]


class TestEvaluation:
    def test_it_is_unmixed_and_that_of_the_bare_model(self, make_trainer: MakeTrainer, tmp_path: Path) -> None:
        seen = []

        def metrics(prediction: EvalPrediction) -> dict[str, float]:
            seen.append((hooks(trainer.model), "mixer" in vars(trainer.model)))
            return {"sum": float(prediction.predictions.astype("float64").sum())}

        trainer = make_trainer(
            MixupCallback(strategy="manifold"),
            max_steps=6,
            eval_strategy="steps",
            eval_steps=2,
            eval_on_start=True,
            save_strategy="steps",
            save_steps=2,
            compute_metrics=metrics,
        )
        trainer.train()
        assert seen == [(0, False)] * 4
        evaluations = [line for line in trainer.state.log_history if "eval_loss" in line]
        for step, expected in zip((2, 4, 6), evaluations[1:], strict=True):
            saved = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / f"checkpoint-{step}")
            bare = make_trainer(model=saved, compute_metrics=metrics).evaluate()
            assert (bare["eval_loss"], bare["eval_sum"]) == (expected["eval_loss"], expected["eval_sum"])

    def test_the_best_model_is_loaded_at_the_end(self, make_trainer: MakeTrainer) -> None:
        trainer = make_trainer(
            MixupCallback(strategy="word"),
            max_steps=12,
            eval_strategy="steps",
            eval_steps=2,
            save_strategy="steps",
            save_steps=2,
            load_best_model_at_end=True,
            learning_rate=2e-2,  # high enough for the last not to be the best
        )
        trainer.train()
        losses = {line["step"]: line["eval_loss"] for line in trainer.state.log_history if "eval_loss" in line}
        best = min(losses, key=losses.__getitem__)
        assert trainer.state.best_model_checkpoint.endswith(f"checkpoint-{best}")
        assert best != 12
        assert trainer.evaluate()["eval_loss"] == losses[best]


class TestSurroundings:
    def test_columns_are_dropped_and_batches_padded_as_ever(self, make_trainer: MakeTrainer) -> None:
        callback = MixupCallback(strategy="cutmix")
        shapes = []
        trainer = make_trainer(callback)
        forward = trainer.model.forward

        def noting(**inputs: Any) -> Any:
            shapes.append((tuple(inputs["input_ids"].shape), sorted(inputs)))
            return forward(**inputs)

        noting.__signature__ = inspect.signature(forward)  # by which the Trainer drops columns
        trainer.model.forward = noting
        trainer.train()
        assert {tuple(names) for _, names in shapes} == {("attention_mask", "input_ids", "token_type_ids")}
        assert len({shape for shape, _ in shapes}) > 1

    @pytest.mark.parametrize(
        "options",
        [{"bf16": True}, {CHECKPOINTING: True}, pytest.param({"torch_compile": True}, marks=pytest.mark.slow)],
        ids=str,
    )
    def test_options_of_the_trainer(self, make_trainer: MakeTrainer, options: dict[str, Any]) -> None:
        if "torch_compile" in options:
            options = {**options, "torch_compile_backend": "eager"}
        bare = train(make_trainer, max_steps=1, **options)
        trainer = train(make_trainer, MixupCallback(strategy="manifold"), max_steps=2, **options)
        assert all(np.isfinite(line["loss"]) and line["mix_share"] == 1 for line in training_logs(trainer))
        assert hooks(trainer.model) == hooks(bare.model)  # the Trainer puts on some of its own

    def test_checkpointed_activations_train_alike(self, make_trainer: MakeTrainer) -> None:
        plain, saving = (
            train(make_trainer, MixupCallback(strategy="manifold"), **{CHECKPOINTING: on}) for on in (False, True)
        )
        for one, two in zip(weights(plain).values(), weights(saving).values(), strict=True):
            torch.testing.assert_close(one, two)

    def test_adapters(self, make_trainer: MakeTrainer) -> None:
        """Which train little beside the mixer's path: LoRA and the classifier."""
        adapted = get_peft_model(tiny_bert(), LoraConfig(task_type="SEQ_CLS", target_modules=["query", "value"]))
        before = {name: value.clone() for name, value in adapted.state_dict().items()}
        trainer = train(make_trainer, MixupCallback(strategy="manifold"), model=adapted, max_steps=2)
        assert [line["mix_share"] for line in training_logs(trainer)] == [1, 1]
        changed = {name for name, value in weights(trainer).items() if not torch.equal(value, before[name])}
        assert changed
        assert all("lora" in name or "modules_to_save" in name for name in changed)
        assert not hooks(adapted)

    def test_what_the_trainer_knows_is_filled_in(self, make_trainer: MakeTrainer, news: Dataset) -> None:
        class Look(TrainerCallback):
            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                configs.append(callback.mixer.config)

        configs: list[MixConfig] = []
        labels = news.select(range(128))["label"][:]
        counts = [labels.count(number) for number in range(5)]
        rows = [{**row, "labels": row["label"]} for row in news.select(range(128))]
        plain = [{name: row[name] for name in ("input_ids", "labels")} for row in rows]
        for data in (news.select(range(128)), plain):
            callback = MixupCallback(strategy="cutmix", targets="remix", loss=LossConfig(class_weights="balanced"))
            make_trainer(callback, Look(), max_steps=1, train_dataset=data).train()
            assert configs[-1].class_counts == counts
            assert configs[-1].special_ids == [0, 101, 102, 103]  # of the WordPiece vocabulary: not [UNK], which is 100
            assert callback.config.class_counts is None  # a second Trainer counts its own

    def test_the_tokenizer_may_be_the_collators(
        self, make_trainer: MakeTrainer, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        from transformers import DataCollatorWithPadding

        collator = DataCollatorWithPadding(tokenizer)
        trainer = make_trainer(
            MixupCallback(strategy="cutmix"), max_steps=1, processing_class=None, data_collator=collator
        )
        trainer.train()
        assert training_logs(trainer)[0]["mix_share"] == 1


@pytest.mark.slow
def test_the_checkpoint_is_the_stock_one(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    """A process that cannot import textmix loads it and predicts the same."""
    outputs = {}
    for name, callbacks in {"bare": [], "mixed": [MixupCallback(strategy="manifold")]}.items():
        directory = tmp_path / name
        trainer = make_trainer(*callbacks, output_dir=str(directory), save_strategy="steps", save_steps=4)
        trainer.train()
        outputs[name] = {path.name for path in (directory / "checkpoint-4").iterdir()}
        saved = json.loads((directory / "checkpoint-4" / "config.json").read_text())
        assert "mix" not in json.dumps(saved)
    assert outputs["mixed"] == outputs["bare"]
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "mixed" / "checkpoint-4")
    logits = model.eval()(torch.tensor([[101, 2000, 3000, 4000, 102]])).logits[0].tolist()
    keys = sorted(tiny_bert().state_dict())
    for name, value in weights(trainer).items():
        assert torch.equal(value, model.state_dict()[name])
    script = f"""
import sys, json
sys.modules["textmix"] = None
import torch
from transformers import AutoModelForSequenceClassification
torch.set_num_threads(1)
model = AutoModelForSequenceClassification.from_pretrained({str(tmp_path / "mixed" / "checkpoint-4")!r})
logits = model.eval()(torch.tensor([[101, 2000, 3000, 4000, 102]])).logits[0].tolist()
print(json.dumps([logits, sorted(model.state_dict())]))
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [logits, keys]
