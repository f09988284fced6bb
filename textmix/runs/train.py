"""A whole run: read data, build the model, train with mixing, evaluate, write the run directory."""

import logging
import math
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import set_seed
from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase

from textmix.config.run import RunConfig, slug
from textmix.config.train import TrainConfig
from textmix.data.columns import Texts, categories
from textmix.data.config import DataConfig
from textmix.data.labels import ClassIds, class_names, encode_labels
from textmix.data.sources import absolute, source_name
from textmix.data.splits import TEST, TRAIN, VALIDATION, SplitReport, build_splits
from textmix.data.standardize import IN_MEMORY, LABEL, text_columns
from textmix.data.tokenization import LazyTokens, tokenize
from textmix.errors import RunError, RunFinished, TrainingInterrupted
from textmix.evaluation.metrics import Evaluation, scaled_scores
from textmix.inference.predictor import Predictor
from textmix.io.files import write_json, write_text
from textmix.io.inputs import refuse_overwriting
from textmix.io.run_directory import (
    CONFIG_FILE,
    DATA,
    ENVIRONMENT,
    METRICS,
    MODEL,
    check_data,
    check_directory,
    checkpoint_directory,
    clear_directory,
    has_finished,
    run_lock,
)
from textmix.models.bundled import BUNDLED_MODELS
from textmix.models.config import BUNDLED_VECTORS, WORD_MODELS
from textmix.models.loading import build_model, check_model, load_model
from textmix.models.sequence_classifier import MixupForSequenceClassification
from textmix.runs.environment import environment
from textmix.runs.evaluate import evaluate_rows, write_evaluation
from textmix.runs.processes import end_process_group, process_group
from textmix.training.cpu.memory import trim_memory
from textmix.training.distributed import ProcessGroup
from textmix.training.optimization import choose_precision
from textmix.training.pooled import check_pooled, pool_rows
from textmix.training.progress import TrainProgress
from textmix.training.trainer import MixupTrainer, OnEvaluation, Reporting, TrainingData

# Devlin et al. 2019 for encoders, the default of Adam (Kingma and Ba 2015) for models of words.
_LEARNING_RATE, _WORDS_LEARNING_RATE = 5e-5, 1e-3

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watch:
    """How an experiment follows a run that is one of many.

    Args:
        on_evaluation: Told the validation scores after each epoch; what it raises ends the run there.
        show_progress: Show a progress bar, log lines, and a line for each epoch.
        test: Evaluate the test split too; without that nothing can be chosen by it.
        like: A run of the same experiment, whose data this one must have, too; None for the first.
    """

    on_evaluation: OnEvaluation | None = None
    show_progress: bool = True
    test: bool = True
    like: Path | None = None


ALONE = Watch()


@dataclass(frozen=True)
class RunResult:
    """What a run has reached.

    Args:
        directory: Where everything was saved.
        metrics: What stands in metrics.json.
        test: The evaluation on the test split; None if it was not asked for.
    """

    directory: Path
    metrics: dict[str, Any]
    test: Evaluation | None


def resolve(config: RunConfig) -> RunConfig:
    """Fill in what depends on other options, on this machine, or on the working directory.

    Raises:
        ConfigError: If the precision asked for is not to be had.
    """
    data, model = source_name(config.data.source), slug(config.model.name)
    train = config.train
    directory = config.output_dir or str(Path("runs") / f"{data}-{model}-{config.mix.strategy}")
    rate = train.learning_rate
    if rate is None:
        rate = _WORDS_LEARNING_RATE if config.model.name in WORD_MODELS else _LEARNING_RATE
    # A model of a directory, which has another name from elsewhere; what is built in comes first.
    local = config.model.name not in (*BUNDLED_MODELS, *WORD_MODELS) and Path(config.model.name).is_dir()
    name = str(Path(config.model.name).absolute()) if local else config.model.name
    vectors = config.model.words.vectors
    if vectors not in (None, BUNDLED_VECTORS):
        vectors = str(Path(vectors).absolute())
    return replace(
        config,
        output_dir=directory,
        data=replace(
            config.data,
            source=absolute(config.data.source),
            test_source=absolute(config.data.test_source) if config.data.test_source else None,
            validation_source=absolute(config.data.validation_source) if config.data.validation_source else None,
        ),
        model=replace(config.model, name=name, words=replace(config.model.words, vectors=vectors)),
        train=replace(train, learning_rate=rate, precision=choose_precision(train.precision)),
    )


def train(
    config: RunConfig,
    overwrite: bool = False,
    resume: bool = False,
    watch: Watch = ALONE,
) -> RunResult | None:
    """Train and evaluate a classifier, alone or together with the other processes that were started for it.

    Everything that can be wrong with the configuration and the data is found before the first file is written.

    Args:
        config: What to do.
        overwrite: Replace a run that is in the directory already.
        resume: Go on from the newest checkpoint in the directory; without one, from the beginning.
        watch: How the run is followed.

    Returns:
        The directory and the figures; None in all processes but the first, which evaluates and writes.

    Raises:
        TextmixError: If something is wrong that the user can put right.
        RunFinished: If there is nothing left to go on with.
    """
    with process_group() as processes, _quiet(not (watch.show_progress and processes.is_main_process)):
        return _train(config, overwrite, resume, watch, processes)


@contextmanager
def _quiet(active: bool) -> Iterator[None]:
    """Suppress what textmix logs below the level WARNING within a block, if active."""
    textmix = logging.getLogger("textmix")
    level = textmix.level
    if active:
        textmix.setLevel(logging.WARNING)
    try:
        yield
    finally:
        textmix.setLevel(level)


def _train(config: RunConfig, overwrite: bool, resume: bool, watch: Watch, processes: PartialState) -> RunResult | None:
    config = resolve(config)
    assert config.output_dir is not None
    directory = Path(config.output_dir)
    with ExitStack() as stack:
        refuse_overwriting(directory, config.inputs, "output_dir")
        if not resume:
            check_directory(directory, overwrite)
        elif processes.is_main_process:
            stack.enter_context(run_lock(directory))
        if resume and has_finished(directory):
            _drop_checkpoints(directory)
            raise RunFinished(f"{directory} has finished; its figures are in {directory / METRICS}")
        trainer, splits, labels, report = _prepare(config, directory, resume, watch)
        trim_memory()
        # Last of all that can fail for a reason of the user's: until here nothing has been written or removed.
        if processes.is_main_process:
            if not resume:
                directory.mkdir(parents=True, exist_ok=True)
                stack.enter_context(run_lock(directory))
                clear_directory(directory)
                write_text(directory / CONFIG_FILE, config.to_yaml())
            if not (resume and (directory / DATA).is_file()):
                write_json(directory / DATA, report.digests)
            if not (resume and (directory / ENVIRONMENT).is_file()):
                write_json(directory / ENVIRONMENT, environment(config.train.precision))
        logger.info(
            f"training {config.model.name} with strategy {config.mix.strategy}: {trainer.total_steps} steps in"
            f" {trainer.precision}"
        )
        where = f" in {processes.num_processes} processes again" if processes.num_processes > 1 else ""
        hint = f"go on{where} with: textmix train --resume {directory}"
        try:
            progress = trainer.train(resume)
            end_process_group()
            if not processes.is_main_process:
                return None
            if not watch.test:
                del splits[TEST]
            return _finish(directory, config, splits, labels, progress, report.sizes)
        except TrainingInterrupted as interruption:
            raise TrainingInterrupted(f"{interruption}; {hint}", interruption.number) from None
        except OSError as error:
            reason = f"{error.filename or directory}: {error.strerror or error}"
            raise RunError(f"{reason}; once that is put right, {hint}") from error


def _prepare(
    config: RunConfig, directory: Path, resume: bool, watch: Watch
) -> tuple[MixupTrainer, DatasetDict, dict[str, ClassIds], SplitReport]:
    """Read the data and build the model; writes nothing."""
    check_model(config.model, config.mix)
    if config.model.freeze == "encoder":
        check_pooled(config.mix)
    splits, report = build_splits(config.data, config.train.seed)
    for begun in (directory if resume else None, watch.like):
        if begun is not None:
            check_data(begun, report.digests)
    labels, names = _encode(splits, config.data, report.classes)
    for line in report.lines():
        logger.info(line)
    trim_memory()
    set_seed(config.train.seed)
    loaded = build_model(config.model, names, Texts(text_columns(splits[TRAIN])))
    data: dict[str, Dataset | LazyTokens] = {}
    for name in (TRAIN, VALIDATION):
        if name not in splits:
            continue
        if config.model.freeze == "encoder":
            assert isinstance(loaded.model, MixupForSequenceClassification)
            tokens = tokenize(splits[name], loaded.tokenizer, labels[name])
            data[name] = pool_rows(loaded.model, loaded.tokenizer, tokens, config.train.eval_batch_size)
        else:
            used = _rows_trained_on(config.train) if name == TRAIN else math.inf
            data[name] = _tokenized(splits[name], loaded.tokenizer, labels[name], used)
    # Before anything is shared among processes, which would fail at the first weight that has another size.
    ProcessGroup().check_same(
        {
            "options": (config.train, config.mix, config.loss),
            # The rows read, and what the options of data have made of them.
            "data": (report.digests, names, sha256(labels[TRAIN].data).hexdigest()),
            "vocabulary": sorted(loaded.tokenizer.get_vocab().items()),
        }
    )
    trainer = MixupTrainer(
        loaded.model,
        loaded.tokenizer,
        TrainingData(data[TRAIN], data.get(VALIDATION), names),
        config.train,
        config.mix,
        config.loss,
        directory,
        Reporting(config.to_dict(), watch.on_evaluation, watch.show_progress),
    )
    return trainer, splits, labels, report


def _rows_trained_on(config: TrainConfig) -> float:
    if config.max_steps is None:
        return math.inf
    processes: int = PartialState().num_processes
    return config.max_steps * config.accumulation_steps * config.batch_size * processes


def _tokenized(
    rows: Dataset, tokenizer: PreTrainedTokenizerBase, labels: ClassIds, used: float
) -> Dataset | LazyTokens:
    """Tokenise rows beforehand, or as they are asked for where they are many or not all of them are used."""
    if rows.num_rows > min(IN_MEMORY, used):
        return LazyTokens(rows, tokenizer, labels)
    return tokenize(rows, tokenizer, labels)


def _finish(
    directory: Path,
    config: RunConfig,
    splits: DatasetDict,
    labels: dict[str, ClassIds],
    progress: TrainProgress,
    sizes: dict[str, int],
) -> RunResult:
    """Evaluate the best model in float32 and write what a finished run holds."""
    best = load_model(directory / MODEL, config.model.trust_remote_code)
    predictor = Predictor(best.model, best.tokenizer, config.train.eval_batch_size)
    evaluations = {
        name: evaluate_rows(predictor, splits[name], labels[name]) for name in (TEST, VALIDATION) if name in splits
    }
    scores = {name: item.scores() for name, item in evaluations.items()}
    if TEST in evaluations and VALIDATION in evaluations:
        scores[TEST] |= scaled_scores(evaluations[VALIDATION], evaluations[TEST])
    metrics: dict[str, dict[str, Any]] = {
        name: {**scores[name], "report": item.report()} for name, item in evaluations.items()
    }
    metrics["train"] = {
        "seconds": progress.seconds,
        "samples_per_second": progress.samples / progress.seconds,
        "samples": progress.samples,
        "steps": progress.step,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "rows": sizes,
    }
    if TEST in splits:
        title = f"Test split of {source_name(config.data.source)}"
        write_evaluation(directory, title, splits[TEST], evaluations[TEST])
    write_json(directory / METRICS, metrics)  # last: it says that the run has finished
    _drop_checkpoints(directory)
    return RunResult(directory, metrics, evaluations.get(TEST))


def _encode(splits: DatasetDict, data: DataConfig, names: list[str] | None) -> tuple[dict[str, ClassIds], list[str]]:
    labels = {name: categories(split, LABEL) for name, split in splits.items()}
    names = names or class_names(labels[TRAIN], source_name(data.source))
    where = {
        TRAIN: data.source,
        VALIDATION: data.validation_source or data.source,
        TEST: data.test_source or data.source,
    }
    return {name: encode_labels(labels[name], names, f"{source_name(where[name])} ({name})") for name in splits}, names


def _drop_checkpoints(directory: Path) -> None:
    shutil.rmtree(checkpoint_directory(directory), ignore_errors=True)
