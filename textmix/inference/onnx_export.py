"""Export the model of a run as an ONNX file, together with its tokenizer and its class names."""

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from textmix.data.tokenization import tokenize_batch
from textmix.errors import ModelError, RunError
from textmix.inference.onnx_classifier import ONNX_FILE
from textmix.io.files import replacing
from textmix.io.run_directory import refuse_foreign
from textmix.models.loading import load_model

# Two rows: a dimension of size 1 would be exported as a constant. Different lengths: the example has padding.
_EXAMPLE = ["one two three four five", "one two three"]


class _Logits(nn.Module):
    """A classifier that maps input tensors in a fixed order to logits only."""

    def __init__(self, model: PreTrainedModel, names: list[str]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *inputs: Tensor) -> Tensor:
        logits: Tensor = self.model(**dict(zip(self.names, inputs, strict=True))).logits
        return logits


def check_target(target: Path) -> None:
    """Check that an export can be written to `target`.

    Raises:
        RunError: If `target` exists and is not an export.
    """
    refuse_foreign(target, "an export", (target / ONNX_FILE).is_file())


def export_onnx(model_directory: Path, target: Path, int8: bool = False, trust_remote_code: bool = False) -> None:
    """Export a saved classifier.

    Writes `model.onnx` (inputs of any batch size and length, output `logits`), the tokenizer, and `config.json` with
    the names of the classes. Replaces an earlier export.

    Args:
        model_directory: Directory of the saved model.
        target: Directory to write.
        int8: Quantise the weights of matrix products to 8-bit integers, and their inputs at run time (dynamic
            quantisation). The file is smaller and the probabilities differ.
        trust_remote_code: Run the Python code saved with a model that has a custom architecture.

    Raises:
        RunError: If there is no model, `target` is not an export or holds other files, or a package of the extra
            `export` is missing.
        ModelError: If torch cannot export the model.
    """
    check_target(target)
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise RunError(f"textmix export needs {error.name}: pip install 'textmix[export]'") from None
    if not hasattr(torch.export.Dim, "DYNAMIC"):
        raise RunError(f"textmix export needs torch 2.6; this is {torch.__version__}: pip install 'textmix[export]'")
    loaded = load_model(model_directory, trust_remote_code)
    model = loaded.model.float().cpu()
    with replacing(target) as temporary:
        temporary.mkdir()
        _write(model, loaded.tokenizer, temporary / ONNX_FILE)
        if int8:
            _quantize(temporary / ONNX_FILE)
        model.config.save_pretrained(temporary)
        loaded.tokenizer.save_pretrained(temporary)
        _refuse_foreign(target, temporary)


def _refuse_foreign(target: Path, replacement: Path) -> None:
    """Check that replacing an earlier export removes no other file."""
    if target.exists():
        foreign = sorted({path.name for path in target.iterdir()} - {path.name for path in replacement.iterdir()})
        if foreign:
            raise RunError(
                f"{target} holds '{foreign[0]}', which would be removed with the earlier export; choose another"
                " --output_dir"
            )


def _write(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, file: Path) -> None:
    inputs: dict[str, Tensor] = dict(tokenize_batch(tokenizer, _EXAMPLE, padding=True, return_tensors="pt"))
    names = list(inputs)
    any_size: Any = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(
                _Logits(model, names).eval(),
                tuple(inputs.values()),
                str(file),
                input_names=names,
                output_names=["logits"],
                dynamic_shapes=((any_size,) * len(names),),
                dynamo=True,  # the default since torch 2.9
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter raises exceptions of many types
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"torch cannot export {type(model).__name__} to ONNX: {reason}") from error


def _quantize(file: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    exact = file.with_suffix(".fp32.onnx")
    shutil.move(file, exact)
    with _quiet():
        quantize_dynamic(exact, file, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8)
    exact.unlink()


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings about the internals of the libraries."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
