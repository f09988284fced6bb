"""Training under FSDP, on the CPU."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.support.launching import finished, history, launch, said, sources
from textmix.cli.main import main

pytestmark = pytest.mark.slow

FSDP = ["--use_fsdp", "--fsdp_version", "2", "--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP"]
FSDP += ["--fsdp_cpu_ram_efficient_loading", "false"]
MODELS = {
    "minilm": ["--model.name", "minilm", "--model.encoder_dropout", "0", "--model.max_length", "16"],
    "textcnn": ["--model.name", "textcnn"],
}


@pytest.mark.parametrize("model", MODELS)
def test_divided_weights_train_like_whole_ones(model: str, tmp_path: Path) -> None:
    arguments = ["train", *sources(tmp_path, train=49, validation=9), *MODELS[model], "--model.dropout", "0"]
    arguments += [
        "--mix.strategy",
        "none",
        "--train.epochs",
        "1",
        "--train.log_steps",
        "1",
        "--train.precision",
        "fp32",
    ]
    divided = [*arguments, "--train.batch_size", "8", "--output_dir", str(tmp_path / "divided")]
    finished(launch(divided, program="tests.support.fsdp_on_cpu", launcher=FSDP))
    assert main([*arguments, "--train.batch_size", "16", "--output_dir", str(tmp_path / "whole")]) == 0
    for line, other in zip(history(tmp_path / "whole"), history(tmp_path / "divided"), strict=True):
        scores, others = line.pop("validation", {}), other.pop("validation", {})
        assert other == pytest.approx(line, abs=1e-4)
        assert others == pytest.approx(scores, abs=1e-4)
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "divided")]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][name].shape == weights[1][name].shape for name in weights[0])
    configs = [json.loads((tmp_path / name / "model" / "config.json").read_text()) for name in ("whole", "divided")]
    assert configs[0] == configs[1]


def test_mixing_trains_divided_weights_and_what_needs_them_whole_is_refused(tmp_path: Path) -> None:
    arguments = ["train", *sources(tmp_path, train=30, validation=9), *MODELS["minilm"], "--train.epochs", "1"]
    arguments += ["--train.log_steps", "1", "--train.batch_size", "8", "--output_dir", str(tmp_path / "run")]
    refused = [*arguments, "--train.save_steps", "5", "--mix.partner", "nearest", "--model.lora.rank", "4"]
    _, errors = launch(refused, program="tests.support.fsdp_on_cpu", launcher=FSDP).communicate(timeout=240)
    (line,) = said(errors)
    assert line == (
        "textmix: error: with FSDP: checkpoints are not supported: set train.save_steps to null;"
        " adapters are not supported: leave out model.lora;"
        " partner nearest does not work: it needs the whole embedding table"
    )
    finished(launch(arguments, program="tests.support.fsdp_on_cpu", launcher=FSDP))
    assert any(0 < line["lam"] < 1 for line in history(tmp_path / "run") if "lam" in line)
