"""Pretrain an encoder further on texts in stages: check, tokenise, train, score, save."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal, cast

import numpy as np
import torch

import textmix
from textmix.config.adapt import AdaptConfig
from textmix.data.cells import as_string
from textmix.data.reading import Reading
from textmix.data.splits import TEST, TRAIN, VALIDATION
from textmix.data.windows import open_source
from textmix.errors import DataError, RunError
from textmix.io.files import read_json, replacing, write_json
from textmix.io.run_directory import refuse_foreign
from textmix.models.masked_lm import MaskedLM, check_masked_lm, load_masked_lm, save_encoder
from textmix.training.masked_lm.pieces import FEWEST_TEXTS, Pieces, store_pieces
from textmix.training.masked_lm.trainer import MaskedScores, MaskedTrainer
from textmix.training.optimization import choose_precision
from textmix.training.random_state import preserved_random_state

logger = logging.getLogger(__name__)

# What was done, in the directory of the encoder.
ADAPTATION = "adaptation.json"


def adapt(
    encoder: str, sources: Sequence[str], columns: list[str], reading: Reading, config: AdaptConfig, target: Path
) -> None:
    """Pretrain an encoder further as a masked language model, and save it like a stock encoder.

    Args:
        encoder: A built-in name, a directory, or a hub id.
        sources: Sources of texts, as `open_source` takes them.
        columns: The text columns; each holds a text of its own.
        reading: How files are read.
        config: The options.
        target: Directory to write; an encoder that an earlier call has written is replaced.

    Raises:
        ModelError: If the encoder does not predict masked tokens.
        DataError: If a source cannot be read, or there are no texts.
        RunError: If `target` holds anything else.
        TrainingError: If the loss is not finite.
    """
    check_target(target)
    check_masked_lm(encoder, config.max_length)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target: a folder for temporary files may be in memory.
    with TemporaryFile(dir=target.parent) as file, _seeded(config.seed):
        loaded = load_masked_lm(encoder, config.max_length)
        pieces = store_pieces(_read(sources, columns, reading), loaded.tokenizer, file)
        if not len(pieces.ends):
            raise DataError(f"{', '.join(sources)}: no texts; all are empty or missing")
        about = {"textmix": textmix.__version__, "encoder": encoder, "sources": list(sources), "text_column": columns}
        about |= {"options": asdict(config), **_train(loaded, pieces, config)}
        with replacing(target) as temporary:
            temporary.mkdir()
            save_encoder(loaded.model, encoder, temporary)
            files = [str(path.relative_to(temporary)) for path in _files(temporary)]
            write_json(temporary / ADAPTATION, {**about, "files": sorted([*files, ADAPTATION])})


def check_target(target: Path) -> None:
    """Check that an encoder can be written to a directory.

    Raises:
        RunError: If the directory holds anything but what `adapt` has written.
    """
    mark = target / ADAPTATION
    if mark.is_file():
        written = read_json(mark, lambda content: set(content["files"]))
        others = sorted({str(path.relative_to(target)) for path in _files(target)} - written)
        if others:
            raise RunError(f"output_dir {target} also holds {others[0]}, which would be removed; choose another")
    refuse_foreign(target, "an encoder that textmix adapt has written", mark.is_file())


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generator of torch, which draws dropout and new weights, for a `with` block."""
    with preserved_random_state():
        torch.manual_seed(seed)
        yield


def _read(sources: Sequence[str], columns: list[str], reading: Reading) -> Iterator[list[list[str]]]:
    """Yield the rows of all sources, many at a time; each has the texts of the columns."""
    splits = (TRAIN, VALIDATION, TEST)
    opened = [open_source(source, columns, reading, splits=splits) for source in sources]
    for window in chain.from_iterable(source.windows for source in opened):
        cells = [map(as_string, window.column(name).to_pylist()) for name in columns]
        yield [list(row) for row in zip(*cells, strict=True)]


def _train(loaded: MaskedLM, pieces: Pieces, config: AdaptConfig) -> dict[str, Any]:
    """Train and score a model; returns what is recorded of it."""
    precision = cast(Literal["fp32", "bf16"], choose_precision(config.precision))
    train, held_out = pieces.split(config.seed)
    trainer = MaskedTrainer(loaded.model, loaded.tokenizer, pieces, train, config, precision)
    texts = {"train": _count(pieces, train), "held_out": _count(pieces, held_out)}
    logger.info(
        f"{texts['train']} texts in {len(train)} pieces of at most {loaded.tokenizer.model_max_length} tokens,"
        f" {trainer.total_steps} steps of {config.batch_size}, {precision}"
    )
    before = trainer.evaluate(held_out)
    trainer.run()
    after = trainer.evaluate(held_out)
    logger.info(_summary(before, after, texts["held_out"], loaded.has_new_head))
    scores = {name: score and score._asdict() for name, score in (("before", before), ("after", after))}
    return {"texts": texts, "pieces": len(train), "steps": trainer.total_steps, "precision": precision, **scores}


def _count(pieces: Pieces, numbers: Any) -> int:
    return len(np.unique(pieces.rows[numbers]))


def _summary(before: MaskedScores | None, after: MaskedScores | None, texts: int, has_new_head: bool) -> str:
    if before is None or after is None:
        why = "no token of the held-out texts was masked" if texts else f"there are fewer than {FEWEST_TEXTS} texts"
        return f"no held-out score: {why}"
    new = " (before: a new head, as the checkpoint has none)" if has_new_head else ""
    return (
        f"{after.tokens} masked tokens of {texts} held-out texts: loss {before.loss:.3f} -> {after.loss:.3f},"
        f" accuracy {before.accuracy:.3f} -> {after.accuracy:.3f}{new}"
    )
