"""The public names of textmix."""

import subprocess
import sys

import pytest

import textmix
from textmix.errors import one_line


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_it_loads_no_torch() -> None:
    assert run("import sys, textmix, textmix.mixing; print({'torch', 'transformers'} & set(sys.modules))") == "set()\n"


@pytest.mark.parametrize("name", textmix.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(textmix, name) is not None
    assert name in dir(textmix)


MODEL = """
import torch
from transformers import BertConfig, BertForSequenceClassification
sizes = dict(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
model = BertForSequenceClassification(BertConfig(**sizes))
batch = dict(input_ids=torch.tensor([[5, 6], [7, 8]]), labels=torch.tensor([0, 1]))
"""


@pytest.mark.parametrize(
    "imports",
    [
        "import textmix",
        "import textmix.mixing.config, textmix.hooks.attach",
        "from textmix import attach, mixing; import textmix",
    ],
)
def test_mixing_and_attach_can_be_called_whatever_was_imported_before(imports: str) -> None:
    code = f"""
{imports}
{MODEL}
with textmix.mixing(model, strategy="word") as mixer:
    model(**batch).loss.backward()
    print(mixer.plan.site)
from textmix.mixing.config import MixConfig
print(hasattr(model, "mixer"), MixConfig.__module__, textmix.mixing.config.__name__)
for _ in range(2):
    mixer = textmix.attach(model, textmix.MixConfig(strategy="word"), seed=1)
    model(**batch)
    print(mixer.plan.site)
    mixer.detach()
"""
    modules = ["textmix.mixing.config"] * 2
    assert run(code).split() == ["embeddings", "False", *modules, "embeddings", "embeddings"]


def test_a_message_is_one_line_of_printable_characters() -> None:
    assert one_line("a\n  b\x1b[31m\x00 \u202ec é猫") == "a b\\x1b[31m\\x00 \\u202ec é猫"
    long = one_line("wrong: " + "x" * 10_000 + " at the end")
    assert len(long) < 2100
    assert long.startswith("wrong: ")
    assert long.endswith(" at the end")
