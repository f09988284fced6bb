"""The public names of textmix."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import textmix
from textmix.errors import one_line


def test_the_version_is_the_newest_of_the_changelog() -> None:
    root = Path(__file__).parents[1]
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    titles = re.findall(r"^## (.+)$", (root / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", titles[1])
    assert textmix.__version__ == version


def run(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_it_loads_no_torch() -> None:
    assert run("import sys, textmix, textmix.mixing; print({'torch', 'transformers'} & set(sys.modules))") == "set()\n"


@pytest.mark.parametrize("name", textmix.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(textmix, name) is not None
    assert name in dir(textmix)


MIX_WITH_TORCH_AND_TRANSFORMERS_ALONE = """
import sys
for name in ("accelerate", "datasets", "gensim", "jsonargparse", "matplotlib", "optuna", "pandas", "peft", "pyarrow",
             "rich", "scipy", "sklearn"):
    sys.modules[name] = None
from types import SimpleNamespace
import torch
from transformers import BertConfig, BertForSequenceClassification, TrainerControl, TrainerState
from textmix import (MixupCallback, MixupEncoderConfig, MixupForSequenceClassification, MixupForTokenClassification,
                     TextCNN, TextCNNConfig, attach, special_ids)
sizes = dict(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
batch = dict(input_ids=torch.tensor([[5, 6], [7, 8]]), labels=torch.tensor([0, 1]))
for model in (
    BertForSequenceClassification(BertConfig(**sizes)),
    MixupForSequenceClassification(MixupEncoderConfig(encoder=BertConfig(**sizes), num_labels=2)),
    TextCNN(TextCNNConfig(vocab_size=20, num_labels=2, embedding_dim=8)),
):
    with attach(model.train(), strategy="word") as mixer:
        model(**batch).loss.backward()
        assert mixer.plan.site == "embeddings"
    callback = MixupCallback(strategy="word")
    args = SimpleNamespace(label_smoothing_factor=0.0, n_gpu=0, seed=0, process_index=0, label_names=None)
    state, control = TrainerState(max_steps=2), TrainerControl()
    state.stateful_callbacks = {}
    for event in ("on_train_begin", "on_step_begin"):
        getattr(callback, event)(args, state, control, model=model)
    model(**batch).loss.backward()
    callback.on_pre_optimizer_step(args, state, control, model=model)
    logs = {"loss": 1.0, "learning_rate": 0.1}
    state.log_history.append(dict(logs))
    callback.on_log(args, state, control, logs=logs)
    callback.on_train_end(args, state, control)
    print(type(model).__name__, logs["mix_share"], hasattr(model, "mixer"))
"""


def test_mixing_needs_torch_and_transformers_alone() -> None:
    """What the command line needs is not loaded by `attach`, the callback and the model classes."""
    lines = run(MIX_WITH_TORCH_AND_TRANSFORMERS_ALONE).splitlines()
    names = ["BertForSequenceClassification", "MixupForSequenceClassification", "TextCNN"]
    assert lines == [f"{name} 1.0 False" for name in names]


# Each case begins where torch is loaded, which takes seconds, but nothing of textmix; the first three without the Auto
# classes, too.
IMPORTS_EACH = """
import json, os, sys
import torch, transformers.utils
for number, imports in enumerate(json.loads(sys.argv[1])):
    if number == 3:
        import transformers.modeling_utils
    assert "textmix" not in sys.modules
    assert number >= 3 or "transformers.models.auto.configuration_auto" not in sys.modules
    sys.stdout.flush()
    if not os.fork():
        exec(imports)
        from transformers import AutoConfig
        try:
            AutoConfig.for_model("textmix-textcnn")
            print("registered", flush=True)
        except ValueError:
            print("unknown", flush=True)
        os._exit(0)
    os.wait()
"""
REGISTERS = {
    "import textmix": "unknown",
    "from textmix import attach, MixConfig": "unknown",
    "from textmix import TextCNN": "registered",
    "from textmix import MixupForSequenceClassification": "registered",
    "from textmix import MixupCallback": "registered",
    "from textmix import Predictor": "registered",
    "import transformers.models.auto.modeling_auto; from textmix import TextRNN": "registered",
}


@pytest.mark.slow
def test_importing_a_model_the_callback_or_the_predictor_registers_the_models() -> None:
    found = run(IMPORTS_EACH, json.dumps(list(REGISTERS))).splitlines()
    assert dict(zip(REGISTERS, found, strict=True)) == REGISTERS


def test_a_message_is_one_line_of_printable_characters() -> None:
    assert one_line("a\n  b\x1b[31m\x00 \u202ec é猫") == "a b\\x1b[31m\\x00 \\u202ec é猫"
    assert one_line("می\u200cخواهم 👩\u200d🔬") == "می\u200cخواهم 👩\u200d🔬"
    long = one_line("wrong: " + "x" * 10_000 + " at the end")
    assert len(long) < 2100
    assert long.startswith("wrong: ")
    assert long.endswith(" at the end")
