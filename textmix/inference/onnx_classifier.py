"""A classifier that onnxruntime runs, with the interface of a torch classifier."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase
from transformers.modeling_outputs import SequenceClassifierOutput

import textmix.models.auto  # noqa: F401  # so that the Auto classes know the models of textmix
from textmix.errors import RunError

ONNX_FILE = "model.onnx"


class OnnxClassifier(nn.Module):
    """Runs an exported classifier on the CPU.

    Args:
        session: An `onnxruntime.InferenceSession`.
        config: The configuration saved beside the file.

    Shapes:
        Inputs (B, L) to logits (B, num_labels).
    """

    device = torch.device("cpu")

    def __init__(self, session: Any, config: PretrainedConfig) -> None:
        super().__init__()
        self.config = config
        self._session = session
        self._names = [put.name for put in session.get_inputs()]

    def forward(self, **inputs: Tensor) -> SequenceClassifierOutput:
        """Classify a batch; inputs that the exported model does not take are ignored."""
        # If every text of the batch is empty, add one masked position.
        if inputs["input_ids"].shape[1] == 0:
            inputs = {name: nn.functional.pad(value, (0, 1)) for name, value in inputs.items()}
        (logits,) = self._session.run(None, {name: inputs[name].numpy() for name in self._names})
        return SequenceClassifierOutput(logits=torch.from_numpy(logits))


def load_onnx(directory: Path) -> tuple[OnnxClassifier, PreTrainedTokenizerBase]:
    """Load an exported classifier and its tokenizer.

    Raises:
        RunError: If onnxruntime is not installed or cannot read the file.
    """
    try:
        import onnxruntime
    except ImportError:
        raise RunError("prediction with ONNX needs onnxruntime: pip install 'textmix[export]'") from None
    try:
        session = onnxruntime.InferenceSession(str(directory / ONNX_FILE), providers=["CPUExecutionProvider"])
        config = AutoConfig.from_pretrained(directory)
        tokenizer = AutoTokenizer.from_pretrained(directory)
    except Exception as error:  # the exceptions of onnxruntime have no common base class
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"cannot load the model at {directory}: {reason}") from error
    return OnnxClassifier(session, config), tokenizer
