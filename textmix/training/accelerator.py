"""The accelerator of one training run, isolated from other accelerators of the process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration
from torch import nn

from textmix.config.train import TrainConfig
from textmix.io.compat import current_accelerator, process_state, shared_states
from textmix.io.run_directory import TENSORBOARD

_MIXED_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
# Attributes that accelerate sets on a model that it prepares.
_SET_BY_ACCELERATE = ("forward", "_original_forward", "_is_accelerate_prepared")


@contextmanager
def run_accelerator(config: TrainConfig, precision: str, directory: Path) -> Iterator[Accelerator]:
    """Make an accelerator for a `with` block.

    All accelerators of a process share their state, so a second one must have the precision of the first. The shared
    state is cleared for the block and restored after it, so that an accelerator of the caller works as before.

    Args:
        config: Training options; names the trackers.
        precision: `fp32`, `bf16` or `fp16`.
        directory: Directory of the run, where tensorboard writes.
    """
    shared = [(state, dict(state)) for state in shared_states()]
    # An accelerator that shards writes so into the state of the processes, in which the next one would not shard.
    processes, kind = process_state(), process_state().get("distributed_type")
    for state, _ in shared:
        state.clear()
    try:
        accelerator = Accelerator(
            mixed_precision=_MIXED_PRECISION[precision],
            cpu=current_accelerator() is None,  # otherwise accelerate sees only one process on a CPU
            log_with=config.trackers or None,
            project_config=ProjectConfiguration(logging_dir=str(directory / TENSORBOARD)),
        )
        yield accelerator
    finally:
        for state, before in shared:
            state.clear()
            state.update(before)
        if kind is not None:
            processes["distributed_type"] = kind


@contextmanager
def attributes_restored(model: nn.Module) -> Iterator[None]:
    """Restore, at the end of a `with` block, the attributes of a model that accelerate sets when it prepares it."""
    attributes = vars(model)
    before = {name: attributes[name] for name in _SET_BY_ACCELERATE if name in attributes}
    try:
        yield
    finally:
        for name in _SET_BY_ACCELERATE:
            attributes.pop(name, None)
        attributes.update(before)
