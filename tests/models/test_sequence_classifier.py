import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BartConfig,
    BartModel,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2Model,
    ModernBertConfig,
    PretrainedConfig,
    PreTrainedModel,
    T5Config,
    T5EncoderModel,
    T5Model,
    pipeline,
)

from tests.support.family_configs import bert_config
from textmix import MixConfig, MixupForSequenceClassification
from textmix.errors import ConfigError
from textmix.models.pooling_choice import choose_pooling, declared_max_length
from textmix.models.words.tokenizer_training import train_tokenizer


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A bare BERT encoder on disk, with a tokenizer, as a sentence-transformers checkpoint."""
    torch.manual_seed(0)
    directory = tmp_path / "bert"
    BertModel(bert_config(), add_pooling_layer=True).save_pretrained(directory)
    train_tokenizer(["the soup is hot", "the match is lost"] * 2, min_frequency=1).save_pretrained(directory)
    return directory


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    return {"input_ids": torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]]), "attention_mask": mask}


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "attention", "last"])
def test_saved_and_loaded_logits_are_identical(checkpoint: Path, batch: dict, tmp_path: Path, pooling: str) -> None:
    model = MixupForSequenceClassification.from_pretrained(checkpoint, num_labels=4, pooling=pooling).eval()
    model.save_pretrained(tmp_path / "saved")
    for loader in (MixupForSequenceClassification, AutoModelForSequenceClassification):
        loaded = loader.from_pretrained(tmp_path / "saved").eval()
        assert type(loaded) is MixupForSequenceClassification
        assert loaded.config.pooling == pooling
        assert torch.equal(loaded(**batch).logits, model(**batch).logits)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "attention", "last"])
def test_normalized_sentence_vectors_have_length_one(
    checkpoint: Path, batch: dict, tmp_path: Path, pooling: str
) -> None:
    options = {"num_labels": 4, "pooling": pooling}
    torch.manual_seed(0)
    plain = MixupForSequenceClassification.from_pretrained(checkpoint, **options).eval()
    torch.manual_seed(0)
    model = MixupForSequenceClassification.from_pretrained(checkpoint, normalize=True, **options).eval()
    with torch.no_grad():
        vectors, found = plain.pool(**batch), model.pool(**batch)
        expected = [[value / sum(other**2 for other in row) ** 0.5 for value in row] for row in vectors.tolist()]
        torch.testing.assert_close(found, torch.tensor(expected))
        torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
        torch.testing.assert_close(model(**batch).logits, model.classifier(found))
        torch.testing.assert_close(model(pooled=found).logits, model.classifier(found))
    model.save_pretrained(tmp_path / "saved")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert loaded.config.normalize
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)
    assert not plain.config.normalize


def test_a_model_from_before_normalize_was_an_option_does_not_normalize(
    checkpoint: Path, batch: dict, tmp_path: Path
) -> None:
    model = MixupForSequenceClassification.from_pretrained(checkpoint).eval()
    model.save_pretrained(tmp_path / "saved")
    path = tmp_path / "saved" / "config.json"
    path.write_text(
        json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != "normalize"})
    )
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)


def test_the_encoder_keeps_its_pretrained_weights(checkpoint: Path) -> None:
    pretrained = BertModel.from_pretrained(checkpoint).state_dict()
    model = MixupForSequenceClassification.from_pretrained(checkpoint, num_labels=4)
    for name, weight in model.encoder.state_dict().items():
        assert torch.equal(weight, pretrained[name]), name
    assert not any("pooler" in name for name in model.state_dict())


def test_mix_is_attached_saved_and_attached_again(checkpoint: Path, tmp_path: Path) -> None:
    mix = MixConfig(strategy="manifold", alpha=0.2, manifold={"layers": [1, 2]})
    model = MixupForSequenceClassification.from_pretrained(checkpoint, num_labels=4, mix=mix)
    assert model.mixer.config == mix
    model.save_pretrained(tmp_path / "saved")
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").mixer.config == mix
    bare = MixupForSequenceClassification.from_pretrained(checkpoint, num_labels=4)
    assert "mixer" not in vars(bare)


def test_a_mix_given_while_loading_replaces_the_saved_one(checkpoint: Path, tmp_path: Path) -> None:
    first, second = MixConfig(strategy="word"), MixConfig(strategy="sentence")
    MixupForSequenceClassification.from_pretrained(checkpoint, mix=first).save_pretrained(tmp_path / "saved")
    loaded = MixupForSequenceClassification.from_pretrained(tmp_path / "saved", mix=second)
    assert loaded.mixer.config == second
    loaded.save_pretrained(tmp_path / "again")
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "again").mixer.config == second


def test_labels_are_named(checkpoint: Path) -> None:
    names = {0: "food", 1: "sport", 2: "music"}
    model = MixupForSequenceClassification.from_pretrained(
        checkpoint, id2label=names, label2id={name: number for number, name in names.items()}, num_labels=3
    )
    assert model.config.num_labels == model.classifier.out_features == 3
    assert model.config.id2label == names


def test_the_saved_config_names_no_path_of_this_machine(checkpoint: Path, tmp_path: Path) -> None:
    for head in ("native", "linear"):
        MixupForSequenceClassification.from_pretrained("minilm", head=head).save_pretrained(tmp_path / "saved")
        text = (tmp_path / "saved" / "config.json").read_text()
        assert "site-packages" not in text
    assert json.loads(text)["encoder"]["_name_or_path"] == "minilm"


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_implementations_agree(checkpoint: Path, batch: dict, attention: str) -> None:
    torch.manual_seed(0)
    model = MixupForSequenceClassification.from_pretrained(checkpoint, attn_implementation=attention).eval()
    torch.manual_seed(0)
    other = MixupForSequenceClassification.from_pretrained(checkpoint).eval()
    assert model.encoder.config._attn_implementation == attention
    torch.testing.assert_close(model(**batch).logits, other(**batch).logits)


def test_pipeline_predicts_the_same(checkpoint: Path, tmp_path: Path) -> None:
    names = {0: "food", 1: "sport"}
    model = MixupForSequenceClassification.from_pretrained(checkpoint, id2label=names).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    classify = pipeline("text-classification", model=str(tmp_path / "saved"), top_k=None)
    scores = {item["label"]: item["score"] for item in classify(["the soup is hot"])[0]}
    logits = model(**tokenizer("the soup is hot", return_tensors="pt")).logits[0]
    expected = {names[i]: value for i, value in enumerate(logits.softmax(-1).tolist())}
    assert scores == pytest.approx(expected)


NATIVE_READER = """
import sys
sys.modules["textmix"] = None  # importing it now fails
try:
    import textmix
except ImportError:
    pass
else:
    raise SystemExit("textmix could be imported")
import json
import torch
from transformers import AutoModelForSequenceClassification
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[1]).eval()
ids, mask = torch.tensor(json.loads(sys.argv[2])), torch.tensor(json.loads(sys.argv[3]))
logits = model(input_ids=ids, attention_mask=mask).logits
print(json.dumps([type(model).__name__, [[value.hex() for value in row] for row in logits.double().tolist()]]))
"""


@pytest.mark.slow
def test_a_native_checkpoint_is_a_stock_one(checkpoint: Path, batch: dict, tmp_path: Path) -> None:
    mix = MixConfig(strategy="manifold")
    model = MixupForSequenceClassification.from_pretrained(checkpoint, num_labels=3, head="native", mix=mix)
    assert type(model) is BertForSequenceClassification
    assert model.mixer.config == mix
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        model(**batch, labels=torch.tensor([0, 2])).loss.backward()
        optimizer.step()
    model.eval().save_pretrained(tmp_path / "saved")
    assert "textmix" not in (tmp_path / "saved" / "config.json").read_text()
    ids, mask = (json.dumps(batch[name].tolist()) for name in ("input_ids", "attention_mask"))
    run = subprocess.run(
        [sys.executable, "-c", NATIVE_READER, str(tmp_path / "saved"), ids, mask],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    name, logits = json.loads(run.stdout)
    assert name == "BertForSequenceClassification"
    expected = [[value.hex() for value in row] for row in model(**batch).logits.double().tolist()]
    assert logits == expected


def test_pooling_with_a_native_head_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.pooling has no effect with model\.head native"):
        MixupForSequenceClassification.from_pretrained(checkpoint, head="native", pooling="mean")


def test_a_dropout_of_a_native_head_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="classifier_dropout has no effect with head native"):
        MixupForSequenceClassification.from_pretrained(checkpoint, head="native", classifier_dropout=0.5)


def test_an_unknown_pooling_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="unknown pooling 'meen'; did you mean 'mean'"):
        MixupForSequenceClassification.from_pretrained(checkpoint, pooling="meen")


class TestAutoPooling:
    @pytest.mark.parametrize(
        ("declared", "expected"),
        [
            ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
            ({"pooling_mode_max_tokens": True}, "max"),
            ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
            ({"pooling_mode": "mean"}, "mean"),  # as sentence-transformers 6 writes it
            ({"pooling_mode": "lasttoken"}, "last"),
            ({"pooling_mode": ["weightedmean", "max"]}, "max"),
        ],
    )
    def test_what_the_checkpoint_declares_comes_first(self, checkpoint: Path, declared: dict, expected: str) -> None:
        (checkpoint / "1_Pooling").mkdir()
        (checkpoint / "1_Pooling" / "config.json").write_text(json.dumps(declared))
        assert MixupForSequenceClassification.from_pretrained(checkpoint).config.pooling == expected

    def test_the_habit_of_the_architecture_comes_next(self, tmp_path: Path) -> None:
        here = str(tmp_path)
        assert choose_pooling(here, bert_config()) == "cls"
        assert choose_pooling(here, GPT2Config()) == "last"
        assert choose_pooling(here, T5Config()) == "mean"
        assert choose_pooling(here, ModernBertConfig(classifier_pooling="mean")) == "mean"

    def test_minilm_declares_mean_and_256_tokens(self) -> None:
        model = MixupForSequenceClassification.from_pretrained("minilm")
        assert model.config.pooling == "mean"
        from textmix.models.bundled import resolve_model_path

        assert declared_max_length(resolve_model_path("minilm")) == 256

    def test_a_causal_decoder_is_pooled_at_the_last_real_token(self, tmp_path: Path) -> None:
        GPT2Model(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=16)).save_pretrained(tmp_path)
        model = MixupForSequenceClassification.from_pretrained(tmp_path).eval()
        ids = torch.tensor([[3, 4, 5, 0], [6, 7, 8, 9]])
        mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
        alone = model(input_ids=ids[:1, :3]).logits
        torch.testing.assert_close(model(input_ids=ids, attention_mask=mask).logits[:1], alone)


def test_unmixed_loss_of_the_model_itself(checkpoint: Path, batch: dict) -> None:
    model = MixupForSequenceClassification.from_pretrained(checkpoint, num_labels=3).eval()
    labels = torch.tensor([2, 0])
    output = model(**batch, labels=labels)
    assert output.loss.item() == pytest.approx(torch.nn.functional.cross_entropy(output.logits, labels).item())
    assert model(**batch, labels=labels, num_items_in_batch=8).loss.item() == pytest.approx(output.loss.item() / 4)
    assert model(**batch).loss is None


def test_a_half_precision_checkpoint_gets_a_matching_head(tmp_path: Path, batch: dict) -> None:
    BertModel(bert_config()).to(torch.bfloat16).save_pretrained(tmp_path)
    model = MixupForSequenceClassification.from_pretrained(tmp_path, num_labels=3).eval()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model(**batch).logits.shape == (2, 3)


def test_an_unknown_head_and_another_pooling_of_a_saved_model_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="head must be linear or native, not 'nativ'"):
        MixupForSequenceClassification.from_pretrained(checkpoint, head="nativ")
    MixupForSequenceClassification.from_pretrained(checkpoint, pooling="max").save_pretrained(tmp_path / "saved")
    with pytest.raises(ConfigError, match="was saved with pooling max; it cannot be loaded with mean"):
        MixupForSequenceClassification.from_pretrained(tmp_path / "saved", pooling="mean")


T5 = T5Config(vocab_size=20, d_model=8, d_kv=4, num_layers=2, num_heads=2, d_ff=8)
BART = BartConfig(
    vocab_size=20,
    d_model=8,
    encoder_layers=2,
    decoder_layers=1,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_ffn_dim=8,
    decoder_ffn_dim=8,
    max_position_embeddings=16,
)


@pytest.mark.parametrize(
    ("architecture", "config", "pooling"),
    [(T5Model, T5, "mean"), (T5EncoderModel, T5, "mean"), (BartModel, BART, "cls")],
)
def test_of_an_encoder_decoder_the_encoder_alone_is_used(
    architecture: type[PreTrainedModel], config: PretrainedConfig, pooling: str, tmp_path: Path, batch: dict
) -> None:
    torch.manual_seed(0)
    whole = architecture(copy.deepcopy(config)).eval()
    whole.save_pretrained(tmp_path / "whole")
    model = MixupForSequenceClassification.from_pretrained(
        tmp_path / "whole", num_labels=3, mix=MixConfig(strategy="manifold")
    ).eval()
    assert not any("decoder" in name or "cross" in name.lower() for name in model.state_dict())
    assert model.config.pooling == pooling
    hidden = whole.get_encoder()(**batch).last_hidden_state
    assert torch.equal(model.encoder(**batch).last_hidden_state, hidden)
    model.train()(**batch, labels=torch.tensor([0, 2])).loss.backward()
    model.eval().save_pretrained(tmp_path / "saved")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert type(loaded) is MixupForSequenceClassification
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)
    assert loaded.mixer.config == model.mixer.config
    assert [name for name, _ in loaded.named_parameters()] == [name for name, _ in model.named_parameters()]


@pytest.mark.parametrize("head", ["linear", "native"])
def test_dropout_inside_the_encoder_is_set_on_request(checkpoint: Path, head: str) -> None:
    model = MixupForSequenceClassification.from_pretrained(checkpoint, head=head, encoder_dropout=0.25)
    rates = {module.p for module in model.base_model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.25}
    unchanged = MixupForSequenceClassification.from_pretrained(checkpoint, head=head)
    rates = {module.p for module in unchanged.base_model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.0}  # what the checkpoint says


def test_dropout_of_a_saved_classifier_s_encoder_is_set_on_request(checkpoint: Path, tmp_path: Path) -> None:
    saved = MixupForSequenceClassification.from_pretrained(checkpoint, num_labels=3)
    saved.save_pretrained(tmp_path / "saved")
    model = MixupForSequenceClassification.from_pretrained(tmp_path / "saved", encoder_dropout=0.25)
    rates = {module.p for module in model.encoder.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.25}
    assert torch.equal(model.classifier.weight, saved.classifier.weight)
