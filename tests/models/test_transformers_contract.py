"""What callers of transformers rely on, for every model class, with mixing attached and without."""

import copy
import inspect
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers as hf
from torch import Tensor, nn

from tests.support.batches import Batch, ragged_batch, unlabelled
from tests.support.families import BERT_LIKE, LAYERS, LLAMA_LIKE, VOCAB, bert_config, modernbert
from textmix import (
    FastText,
    FastTextConfig,
    MixupEncoderConfig,
    MixupForSequenceClassification,
    MixupForTokenClassification,
    TextCNN,
    TextCNNConfig,
    TextRNN,
    TextRNNConfig,
    attach,
)
from textmix.errors import ModelError

ENCODERS: dict[str, Callable[[], hf.PretrainedConfig]] = {
    "BERT": bert_config,
    "RoBERTa": lambda: hf.RobertaConfig(**BERT_LIKE, pad_token_id=1),
    "ModernBERT": modernbert,
    "Llama": lambda: hf.LlamaConfig(**LLAMA_LIKE),
}
WORDS: dict[str, tuple[type[Any], type[Any]]] = {
    "TextCNN": (TextCNN, TextCNNConfig),
    "TextRNN": (TextRNN, TextRNNConfig),
    "FastText": (FastText, FastTextConfig),
}
TASKS: dict[str, type[Any]] = {"sequence": MixupForSequenceClassification, "token": MixupForTokenClassification}
ENCODER_MODELS = [f"{encoder} {task}" for encoder in ENCODERS for task in TASKS]
MODELS = [*ENCODER_MODELS, *WORDS]
# With regmix the batch is doubled inside, which callers must not see.
MIXINGS: dict[str, dict[str, Any]] = {
    "unmixed": {},
    "mixed": {"strategy": "word"},
    "mixed and clean": {"strategy": "sentence", "regmix": 1.0},
}


def config_of(name: str, **options: Any) -> hf.PretrainedConfig:
    if name in WORDS:
        return WORDS[name][1](vocab_size=VOCAB, embedding_dim=16, num_labels=3, dropout=0.0, **options)
    encoder = ENCODERS[name.split()[0]]()
    return MixupEncoderConfig(encoder, num_labels=3, classifier_dropout=0.0, pooling="mean", **options)


def class_of(name: str) -> type[Any]:
    return WORDS[name][0] if name in WORDS else TASKS[name.split()[1]]


def build(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return class_of(name)(config_of(name, **options)).eval()


def batch_for(name: str) -> Batch:
    batch = ragged_batch()
    if "token" in name:
        labels = torch.randint(3, batch["input_ids"].shape, generator=torch.Generator().manual_seed(0))
        batch["labels"] = torch.where(batch["attention_mask"].bool(), labels, -100)
    return batch


@contextmanager
def mixing(model: nn.Module, options: dict[str, Any]) -> Iterator[None]:
    """Attach a mixer and train, or neither."""
    if not options:
        yield
        return
    with attach(model.train(), **options):
        yield


models = pytest.mark.parametrize("name", MODELS)
encoder_models = pytest.mark.parametrize("name", ENCODER_MODELS)
mixings = pytest.mark.parametrize("mixed", list(MIXINGS.values()), ids=list(MIXINGS))


@models
@mixings
def test_hidden_states(name: str, mixed: dict[str, Any]) -> None:
    model, batch = build(name), batch_for(name)
    with mixing(model, mixed):
        asked = model(**batch, output_hidden_states=True)
        model.config.output_hidden_states = True
        configured = model(**batch)
        refused = model(**batch, output_hidden_states=False)
    for output in (asked, configured):
        assert len(output.hidden_states) == model.config.num_hidden_layers + 1
        assert all(states.shape[:2] == batch["input_ids"].shape for states in output.hidden_states)
        assert output.logits.shape[0] == 5
    assert refused.hidden_states is None


@encoder_models
def test_hidden_states_and_attentions_are_those_of_a_stock_model(name: str) -> None:
    model, batch = build(name, attn_implementation="eager"), unlabelled(batch_for(name))
    stock = hf.AutoModelForTokenClassification.from_config(copy.deepcopy(model.config.encoder)).eval()
    stock.base_model.load_state_dict(model.encoder.state_dict(), strict=False)
    ours = model(**batch, output_hidden_states=True, output_attentions=True)
    theirs = stock(**batch, output_hidden_states=True, output_attentions=True)
    assert len(ours.hidden_states) == LAYERS + 1
    assert len(ours.attentions) == LAYERS
    for field in ("hidden_states", "attentions"):
        torch.testing.assert_close(getattr(ours, field), getattr(theirs, field))


@encoder_models
@mixings
def test_attentions(name: str, mixed: dict[str, Any]) -> None:
    model, batch = build(name, attn_implementation="eager"), batch_for(name)
    with mixing(model, mixed):
        asked = model(**batch, output_attentions=True)
        model.config.output_attentions = True
        configured = model(**batch)
    for output in (asked, configured):
        assert [tuple(weights.shape) for weights in output.attentions] == [(5, 2, 9, 9)] * LAYERS


@models
@mixings
def test_a_tuple_instead_of_an_output(name: str, mixed: dict[str, Any]) -> None:
    model, batch = build(name), batch_for(name)
    with mixing(model, mixed):
        found = model(**batch, output_hidden_states=True, return_dict=False)
        model.config.return_dict = False
        configured = model(**batch)
        asked = model(**batch, return_dict=True)
    loss, logits, states = found
    assert (loss.shape, logits.shape[0], len(states)) == ((), 5, model.config.num_hidden_layers + 1)
    assert isinstance(configured, tuple)
    assert len(configured) == 2
    assert isinstance(asked, hf.utils.ModelOutput)
    if not mixed:
        torch.testing.assert_close(configured, (asked.loss, asked.logits))


@models
def test_a_resized_vocabulary_is_saved(name: str, tmp_path: Path) -> None:
    model, batch = build(name), unlabelled(batch_for(name))
    model.resize_token_embeddings(VOCAB + 7)
    batch["input_ids"][0, 0] = VOCAB + 5
    expected = model(**batch).logits
    model.save_pretrained(tmp_path)
    loaded = class_of(name).from_pretrained(tmp_path).eval()
    assert loaded.config.vocab_size == loaded.get_input_embeddings().num_embeddings == VOCAB + 7
    assert torch.equal(loaded(**batch).logits, expected)


@models
@mixings
def test_a_resized_vocabulary_is_trained(name: str, mixed: dict[str, Any]) -> None:
    model, batch = build(name), batch_for(name)
    batch["input_ids"][0, 0] = VOCAB + 5
    with mixing(model, mixed):
        model.resize_token_embeddings(VOCAB + 7)
        model(**batch).loss.backward()
    assert model.get_input_embeddings().weight.grad[VOCAB + 5].abs().sum() > 0


@models
@mixings
def test_embeddings_instead_of_ids(name: str, mixed: dict[str, Any]) -> None:
    outputs = []
    for with_ids in (True, False):
        model, batch = build(name), batch_for(name)
        if not with_ids:
            batch["inputs_embeds"] = model.get_input_embeddings()(batch.pop("input_ids"))
        with mixing(model, mixed):
            if name == "FastText" and mixed.get("strategy") == "word" and not with_ids:
                with pytest.raises(ModelError, match="did not reach the site embeddings"):
                    model(**batch)
                return
            outputs.append(model(**batch))
    torch.testing.assert_close(outputs[0].loss, outputs[1].loss)
    if "token" not in name:
        torch.testing.assert_close(outputs[0].logits, outputs[1].logits)


@encoder_models
@mixings
@pytest.mark.parametrize("argument", ["position_ids", "token_type_ids"])
def test_positions_and_segments_reach_the_encoder(name: str, mixed: dict[str, Any], argument: str) -> None:
    batch = batch_for(name)
    given = torch.randint(2, batch["input_ids"].shape, generator=torch.Generator().manual_seed(1))
    seen: list[Tensor] = []
    model = build(name)
    if argument not in inspect.signature(model.encoder.forward).parameters:
        pytest.skip("the encoder knows none")
    if argument == "token_type_ids" and model.config.encoder.type_vocab_size < 2:
        pytest.skip("the encoder has one segment")
    model.encoder.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs[argument]), with_kwargs=True
    )
    with mixing(model, mixed):
        output = model(**batch, **{argument: given})
    assert torch.equal(seen[0][:5], given)
    if not mixed:
        assert not torch.allclose(output.logits, build(name)(**batch).logits)


@models
@pytest.mark.parametrize(
    "options",
    [{"dtype": torch.bfloat16}, {"dtype": "bfloat16"}, {"device_map": "cpu"}, {"device_map": {"": "cpu"}}],
    ids=str,
)
def test_loading_with_a_type_or_a_place(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    model, batch = build(name), batch_for(name)
    model.save_pretrained(tmp_path)
    loaded = class_of(name).from_pretrained(tmp_path, **options).eval()
    assert {parameter.dtype for parameter in loaded.parameters()} == {
        torch.bfloat16 if "dtype" in options else torch.float32
    }
    with mixing(loaded, MIXINGS["mixed"]):
        loss = loaded(**batch).loss
        loss.backward()
    assert torch.isfinite(loss)


@encoder_models
def test_the_options_of_an_encoder_with_a_new_head(name: str, tmp_path: Path) -> None:
    build(name).encoder.save_pretrained(tmp_path)
    load = partial(class_of(name).from_pretrained, tmp_path, num_labels=3)
    half = load(dtype=torch.bfloat16, low_cpu_mem_usage=True)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    for implementation in ("eager", "sdpa"):
        model = load(attn_implementation=implementation, device_map="cpu")
        assert {config._attn_implementation for config in (model.config, model.encoder.config)} == {implementation}
    batch = unlabelled(batch_for(name))
    real = batch["attention_mask"].bool()
    eager, sdpa = (
        load(attn_implementation=implementation).eval().encoder(**batch).last_hidden_state[real]
        for implementation in ("eager", "sdpa")
    )
    torch.testing.assert_close(eager, sdpa)


@encoder_models
def test_a_report_of_loading(name: str, tmp_path: Path) -> None:
    model = build(name)
    model.encoder.save_pretrained(tmp_path / "encoder")
    loaded, report = class_of(name).from_pretrained(tmp_path / "encoder", num_labels=3, output_loading_info=True)
    assert isinstance(loaded, class_of(name))
    assert report["missing_keys"] == {"classifier.weight", "classifier.bias"}
    assert not report["unexpected_keys"]
    model.save_pretrained(tmp_path / "whole")
    _, report = class_of(name).from_pretrained(tmp_path / "whole", output_loading_info=True)
    assert not report["missing_keys"]


@models
def test_weights_without_a_checkpoint(name: str) -> None:
    model, batch = build(name), unlabelled(batch_for(name))
    loaded = class_of(name).from_pretrained(None, config=model.config, state_dict=model.state_dict()).eval()
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)


@models
@mixings
def test_the_input_embeddings_can_be_replaced(name: str, mixed: dict[str, Any]) -> None:
    model, batch = build(name), batch_for(name)
    replaced = copy.deepcopy(model.get_input_embeddings())
    model.set_input_embeddings(replaced)
    with mixing(model, mixed):
        model(**batch).loss.backward()
    assert model.get_input_embeddings() is replaced
    assert replaced.weight.grad.abs().sum() > 0


@encoder_models
@mixings
@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing(name: str, mixed: dict[str, Any], reentrant: bool) -> None:
    gradients = []
    for checkpointing in (False, True):
        model, batch = build(name).train(), batch_for(name)
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
            model.enable_input_require_grads()
            assert model.is_gradient_checkpointing
        with mixing(model, mixed):
            model(**batch).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing


@models
@mixings
@pytest.mark.parametrize("cast", [nn.Module.half, nn.Module.bfloat16], ids=["half", "bfloat16"])
def test_half_precision(name: str, mixed: dict[str, Any], cast: Callable[[nn.Module], nn.Module]) -> None:
    model, batch = build(name), batch_for(name)
    expected = model(**unlabelled(batch)).logits
    with mixing(cast(model), mixed):
        output = model(**batch)
        output.loss.backward()
    assert output.logits.dtype == model.dtype != torch.float32
    assert torch.isfinite(output.loss)
    if not mixed:
        torch.testing.assert_close(output.logits.float(), expected, atol=0.02, rtol=0.05)


@models
@mixings
def test_adapters(name: str, mixed: dict[str, Any]) -> None:
    peft = pytest.importorskip("peft")
    model, batch = build(name), batch_for(name)
    targets = {"TextCNN": ["blocks.0.convolutions.0"], "TextRNN": ["embeddings"], "FastText": ["embeddings"]}
    config = peft.LoraConfig(
        task_type="TOKEN_CLS" if "token" in name else "SEQ_CLS",
        target_modules=targets.get(name, "all-linear"),
        exclude_modules=["classifier"],
        r=4,
        init_lora_weights=False,
    )
    adapted = peft.get_peft_model(model, config)
    with mixing(adapted, mixed):
        adapted(**batch).loss.backward()
    trained = {key for key, parameter in adapted.named_parameters() if parameter.grad is not None}
    assert any("lora_" in key for key in trained)
    assert any("classifier" in key for key in trained)
    assert all("lora_" in key or "modules_to_save" in key for key in trained)
    with torch.no_grad():
        expected = adapted.eval()(**unlabelled(batch)).logits
        merged = adapted.merge_and_unload().eval()
        assert isinstance(merged, class_of(name))
        torch.testing.assert_close(merged(**unlabelled(batch)).logits, expected, atol=1e-5, rtol=1e-4)


@models
@pytest.mark.parametrize("attached", [False, True])
def test_pushing_to_a_hub(name: str, attached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = build(name), unlabelled(batch_for(name))
    keep_pushes_in(tmp_path, monkeypatch)
    if attached:
        attach(model, strategy="word")
    model.push_to_hub("someone/model")
    loaded = class_of(name).from_pretrained(tmp_path / "someone/model").eval()
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)


@models
def test_a_pipeline_names_the_labels_of_long_texts(name: str, tmp_path: Path) -> None:
    model = build(name, id2label={0: "sport", 1: "business", 2: "art"}, label2id={"sport": 0, "business": 1, "art": 2})
    model.save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    long = " ".join(["w7 w8 w9"] * 300)
    if "token" in name:
        tokens = hf.pipeline("token-classification", model=str(tmp_path))("w6 w7 w8")
        assert {token["entity"] for token in tokens} <= {"sport", "business", "art"}
        return
    classify = hf.pipeline("text-classification", model=str(tmp_path), top_k=None, batch_size=2)
    for scores in classify(["w6 w7", long, "w8"], truncation=True):
        assert {score["label"] for score in scores} == {"sport", "business", "art"}
        assert sum(score["score"] for score in scores) == pytest.approx(1)


@models
@mixings
@pytest.mark.parametrize("copier", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_train_alike_and_apart(name: str, mixed: dict[str, Any], copier: Callable[[Any], Any]) -> None:
    model, batch = build(name), batch_for(name)
    with mixing(model, mixed):
        twin = copier(model)
        losses = [[loss_after_a_step(one, batch) for _ in range(3)] for one in (model, twin)]
        if mixed:
            assert twin.mixer is not model.mixer
            assert twin.mixer.plan is not model.mixer.plan
            twin.mixer.detach()
            assert not hasattr(twin, "mixer")
            assert hasattr(model, "mixer")
    assert losses[0] == losses[1]
    assert losses[0][0] != losses[0][1]


def loss_after_a_step(model: Any, batch: Batch) -> float:
    loss = model(**batch).loss
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
                parameter.grad = None
    return float(loss)


def word_tokenizer() -> hf.PreTrainedTokenizerFast:
    """A tokenizer of at most 16 words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    vocabulary = {
        "[PAD]": 0,
        "[CLS]": 1,
        "[SEP]": 2,
        "[UNK]": 3,
        **{f"w{number}": number for number in range(4, VOCAB)},
    }
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", model_max_length=16
    )


def keep_pushes_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace what talks to a hub: a commit is written to the folder of its repository."""

    def create_repo(repo_id: str, *_: Any, **__: Any) -> SimpleNamespace:
        (folder / repo_id).mkdir(parents=True)
        return SimpleNamespace(repo_id=repo_id)

    def create_commit(repo_id: str, operations: list[Any], **_: Any) -> None:
        for operation in operations:
            shutil.copy(operation.path_or_fileobj, folder / repo_id / operation.path_in_repo)

    monkeypatch.setattr(huggingface_hub.ModelCard, "load", lambda *_, **__: huggingface_hub.ModelCard("---\n---\n"))
    for function in (create_repo, create_commit):
        name = function.__name__
        monkeypatch.setattr(huggingface_hub.HfApi, name, lambda self, *args, f=function, **kwargs: f(*args, **kwargs))
        monkeypatch.setattr(hf.utils.hub, name, function, raising=False)  # transformers < 5
