"""A resumed run repeats the uninterrupted one, bit for bit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import EarlyStoppingCallback, Trainer

from tests.integrations.conftest import MakeTrainer, tiny_bert, without_times
from tests.support.nursery import Nursery
from tests.support.versions import needs_torch_load
from textmix import MixConfig, MixupCallback

SAVING: dict[str, Any] = {"save_strategy": "steps", "save_steps": 3, "max_steps": 10, "gradient_accumulation_steps": 2}
CONFIGS = [
    {"strategy": "manifold", "alpha_schedule": "linear_out", "start": 0.2},
    {"strategy": "any", "any": {"choices": {"word": 1, "ssmix": 1, "cutmix": 1}}, "probability": 0.7},
    {"strategy": "nonlinear", "regmix": 0.5, "partner": "nearest"},
    {"strategy": "word", "lam": "similarity", "partner": "easy_hard", "targets": "trust"},
]


def history(trainer: Trainer) -> list[dict[str, float]]:
    # The last line sums up what one call of `train` did, which a resumed one did only in part.
    return without_times([line for line in trainer.state.log_history if "train_loss" not in line])


def assert_same_run(one: Trainer, two: Trainer) -> None:
    assert history(one) == history(two)
    for (name, first), second in zip(one.model.state_dict().items(), two.model.state_dict().values(), strict=True):
        assert torch.equal(first, second), name


@needs_torch_load
@pytest.mark.parametrize("step", [3, 6])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config["strategy"])
def test_resuming_repeats_the_uninterrupted_run(
    make_trainer: MakeTrainer, tmp_path: Path, config: dict[str, Any], step: int
) -> None:
    """Step 3 is in the middle of the first epoch, step 6 in that of the second."""
    whole = make_trainer(MixupCallback(**config), **SAVING)
    whole.train()
    lams = [line["mix_lam"] for line in history(whole)]
    assert lams[:4] != lams[step : step + 4]  # starting the generator over would be noticed
    torch.manual_seed(123)
    resumed = make_trainer(MixupCallback(**config), output_dir=str(tmp_path / "other"), **SAVING)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{step}"))
    assert_same_run(whole, resumed)


@needs_torch_load
@pytest.mark.parametrize("restore", [False, True])
def test_the_seed_of_the_checkpoint_goes_on(make_trainer: MakeTrainer, tmp_path: Path, restore: bool) -> None:
    """Whether the Trainer makes the callback again from the checkpoint or the user's stays."""
    config = MixConfig(strategy="any", any={"choices": {"word": 1.0}})
    callbacks = [[MixupCallback(config, seed=seed), EarlyStoppingCallback(9)] for seed in (11, 12)]
    options = {**SAVING, "metric_for_best_model": "loss", "load_best_model_at_end": True}
    options |= {"eval_strategy": "steps", "eval_steps": 3, "restore_callback_states_from_checkpoint": restore}
    whole = make_trainer(*callbacks[0], **options)
    whole.train()
    resumed = make_trainer(*callbacks[1], output_dir=str(tmp_path / "other"), **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-3"))
    assert_same_run(whole, resumed)


def test_the_state_is_plain_json(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    callback = MixupCallback(
        strategy="word", alpha=np.float32(0.5), targets="remix", class_counts=list(np.arange(1, 6))
    )
    make_trainer(callback, **{**SAVING, "max_steps": 3}).train()
    saved = json.loads((tmp_path / "run" / "checkpoint-3" / "trainer_state.json").read_text())
    arguments = saved["stateful_callbacks"]["MixupCallback"]["args"]
    assert arguments["seed"] == 3
    assert arguments["class_counts"] == [1, 2, 3, 4, 5]
    assert MixupCallback(**arguments).config == callback.config


@needs_torch_load
def test_a_run_begun_without_mixing_can_go_on_with_it(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer(**SAVING).train()
    resumed = make_trainer(MixupCallback(strategy="word"), output_dir=str(tmp_path / "other"), **SAVING)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-3"))
    lines = history(resumed)
    assert ["mix_lam" in line for line in lines] == [False] * 3 + [True] * 7
    state = json.loads((tmp_path / "other" / "checkpoint-9" / "trainer_state.json").read_text())
    assert "MixupCallback" in state["stateful_callbacks"]


@needs_torch_load
def test_a_mixed_run_can_go_on_without_mixing(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer(MixupCallback(strategy="word"), **SAVING).train()
    resumed = make_trainer(model=tiny_bert(), output_dir=str(tmp_path / "other"), **SAVING)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-3"))
    assert "mix_lam" not in history(resumed)[-1]


@needs_torch_load
@pytest.mark.slow
def test_two_processes_draw_differently_and_resume_alike(tmp_path: Path, nursery: Nursery) -> None:
    program = {"program": "tests.support.trainer_in_two_processes", "arguments": [str(tmp_path)]}
    codes = nursery.run_ranks([program, program])
    if "restore data location of torch.storage.UntypedStorage (tagged with cpu:0)" in nursery.said():
        pytest.skip("the Trainer of this version of transformers cannot resume in several processes on a CPU")
    assert codes == [0, 0], nursery.said()
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    for found in (first, second):
        assert found["whole"]["lams"][2:] == found["resumed"]["lams"]
        assert found["whole"]["weights"] == found["resumed"]["weights"]
        assert found["whole"]["logs"] == found["resumed"]["logs"]
    assert not set(first["whole"]["lams"]) & set(second["whole"]["lams"])
    assert first["whole"]["weights"] == second["whole"]["weights"]
    for one, two, logged in zip(first["whole"]["lams"], second["whole"]["lams"], first["whole"]["logs"], strict=True):
        assert logged == pytest.approx((one + two) / 2, abs=1e-6)
