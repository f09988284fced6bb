"""Train a run in stages: options, data, model, trainer, best model, scores, files."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from accelerate import PartialState
from transformers import PreTrainedModel

from textmix.config.run import RunConfig
from textmix.data.columns import Texts
from textmix.data.long_text import WINDOWS, long_share
from textmix.data.splits import TRAIN, VALIDATION
from textmix.data.standardize import text_columns
from textmix.errors import RunError, RunFinished, TrainingInterrupted, listed
from textmix.io.files import write_json, write_text
from textmix.io.inputs import refuse_overwriting
from textmix.io.run_directory import (
    ADAPTER,
    CONFIG_FILE,
    DATA,
    ENVIRONMENT,
    METRICS,
    check_data,
    check_directory,
    clear_directory,
    has_finished,
    run_lock,
)
from textmix.mixing.config import DEFAULTS, MixConfig, option_values
from textmix.models.loading import LoadedModel, check_model
from textmix.models.lora import finish_adapters
from textmix.runs.data import RunData, read_data, with_task
from textmix.runs.environment import environment
from textmix.runs.few_labels import FewLabelsTrainer
from textmix.runs.fitting import build_seeded_model, build_trainer, check_processes_agree, load_best, tokenize_splits
from textmix.runs.options import resolve
from textmix.runs.processes import end_process_group, process_group
from textmix.runs.results import (
    RunResult,
    calibrate,
    evaluate_splits,
    remove_checkpoints,
    tune_thresholds,
    write_results,
)
from textmix.tasks.names import selection_metric
from textmix.training.cpu.memory import trim_memory
from textmix.training.distributed import ProcessGroup
from textmix.training.pooled import check_pooled
from textmix.training.trainer import MixupTrainer, OnEvaluation, Reporting

logger = logging.getLogger(__name__)

# What becomes of long texts.
_FATES = {
    "truncate": "lose their end; --model.long_text head_tail cuts their middle instead, windows reads them whole",
    "head_tail": "lose their middle",
    "windows": "are read in windows",
}


def train(
    config: RunConfig,
    *,
    overwrite: bool = False,
    resume: bool = False,
    test: bool = True,
    sibling: Path | None = None,
    on_evaluation: OnEvaluation | None = None,
    show_progress: bool = True,
) -> RunResult | None:
    """Train and evaluate a classifier, in one process or as one of several.

    All options and data are checked before the first file is written.

    Args:
        config: All options.
        overwrite: Replace an existing run in the directory.
        resume: Resume from the newest checkpoint in the directory; without one, start from the beginning.
        test: Evaluate the test split too; a search for options leaves it out.
        sibling: A run of the same experiment; its data digest must match.
        on_evaluation: Called with the validation scores after each epoch; an exception that it raises ends the run.
        show_progress: Show a progress bar, log lines, and a line for each epoch.

    Returns:
        The result of the run; None in all processes except the first, which evaluates and writes.

    Raises:
        TextmixError: If options, data or directory cannot be used; RunFinished if the run to resume has finished.
    """
    with process_group() as processes, ExitStack() as stack:
        stack.enter_context(_quiet(not (show_progress and processes.is_main_process)))
        config = resolve(config)
        directory = Path(str(config.output_dir))
        refuse_overwriting(directory, config.inputs, "output_dir")
        _check_target(directory, overwrite, resume, stack, processes)
        siblings = [run for run in (directory if resume else None, sibling) if run is not None]
        config, data, trainer = _prepare(config, directory, siblings, on_evaluation, show_progress)
        if resume:  # the digest of a pool is known only now
            check_data(directory, data.report.digests)
        if processes.is_main_process:
            _start_directory(config, directory, data, resume, stack)
        return _fit(config, directory, data, trainer, resume, test, processes)


def _check_target(directory: Path, overwrite: bool, resume: bool, stack: ExitStack, processes: PartialState) -> None:
    """Check that the directory may be written; with `resume`, lock the unfinished run in it."""
    if not resume:
        check_directory(directory, overwrite)
        return
    if processes.is_main_process:
        stack.enter_context(run_lock(directory))
    if has_finished(directory):
        remove_checkpoints(directory)
        raise RunFinished(f"{directory} has finished; its metrics are in {directory / METRICS}")


def _prepare(
    config: RunConfig,
    directory: Path,
    siblings: list[Path],
    on_evaluation: OnEvaluation | None,
    show_progress: bool,
) -> tuple[RunConfig, RunData, MixupTrainer | FewLabelsTrainer]:
    """Find the task, read the data and build model and trainer; writes nothing."""
    check_model(config.model, config.mix)
    config, line = with_task(config)
    if config.model.freeze == "encoder":
        check_pooled(config.mix, "model.freeze encoder")
    data = read_data(config, siblings)
    if line:
        logger.info(line)
    config = _for_rows(config, data.report.sizes)
    trim_memory()
    loaded = build_seeded_model(config, data.space, Texts(text_columns(data.splits[TRAIN])))
    _tell_idle(config.mix)
    _tell_long_texts(config, data, loaded)
    if config.has_few_labels:
        return config, data, FewLabelsTrainer(config, loaded, data, directory, show_progress)
    rows = tokenize_splits(config, data, loaded)
    check_processes_agree(config, data, loaded.tokenizer)
    reporting = Reporting(config.to_dict(), on_evaluation, show_progress)
    trainer = build_trainer(config, loaded, rows, directory, reporting)
    trim_memory()
    return config, data, trainer


def _for_rows(config: RunConfig, sizes: dict[str, int]) -> RunConfig:
    """Fill in the options that depend on the number of rows."""
    if config.has_few_labels:
        return replace(config, contrastive=config.contrastive.for_rows(sizes[TRAIN]))
    metric = selection_metric(config.known_task, config.train.metric, sizes.get(VALIDATION, 0))
    train = replace(config.train.for_rows(sizes[TRAIN], ProcessGroup().size), metric=metric)
    return replace(config, train=train)


def _tell_idle(mix: MixConfig) -> None:
    """Say which options of mixing have no effect because nothing is mixed."""
    given = [f"mix.{name}" for name, value in option_values(mix).items() if value != DEFAULTS[name]]
    if mix.strategy == "none" and len(given) > 1:
        logger.info(f"{listed([name for name in given if name != 'mix.strategy'])}: no effect with mix.strategy none")


def _tell_long_texts(config: RunConfig, data: RunData, loaded: LoadedModel) -> None:
    if share := long_share(loaded.tokenizer, data.splits[TRAIN]):
        length = loaded.tokenizer.model_max_length
        logger.info(f"{share:.1%} of the training texts exceed {length} tokens and {_FATES[config.model.long_text]}")


def _start_directory(config: RunConfig, directory: Path, data: RunData, resume: bool, stack: ExitStack) -> None:
    """Write the files that a run has before training; the first step of a run that writes or removes files."""
    if not resume:
        directory.mkdir(parents=True, exist_ok=True)
        stack.enter_context(run_lock(directory))
        clear_directory(directory)
        write_text(directory / CONFIG_FILE, config.to_yaml())
    if not (resume and (directory / DATA).is_file()):
        write_json(directory / DATA, data.report.digests)
    if not (resume and (directory / ENVIRONMENT).is_file()):
        write_json(directory / ENVIRONMENT, environment(config.train.precision))


def _fit(
    config: RunConfig,
    directory: Path,
    data: RunData,
    trainer: MixupTrainer | FewLabelsTrainer,
    resume: bool,
    test: bool,
    processes: PartialState,
) -> RunResult | None:
    """Train, load the best model, evaluate it and write the results."""
    logger.info(
        f"training {config.model.name} with strategy {config.mix.strategy}: {trainer.total_steps} steps in"
        f" {trainer.precision}"
    )
    with _resume_hint(directory, processes):
        progress = trainer.train(resume)
        end_process_group()
        if not processes.is_main_process:
            return None
        best = load_best(config, directory)
        calibrate(best, config, data, directory)
        if config.train.tune_thresholds:
            tune_thresholds(best, data, directory)
        if config.model.lora.rank is not None:
            assert isinstance(best.model, PreTrainedModel)
            finish_adapters(best.model, best.tokenizer, directory / ADAPTER)
        evaluations = evaluate_splits(best, data, test)
        temperatures = getattr(best.model.config, "temperatures", None) or []
        cut = 0.0 if config.model.long_text == WINDOWS else long_share(best.tokenizer, data.splits[TRAIN])
        if isinstance(trainer, FewLabelsTrainer) and trainer.cross_fitted is not None:
            evaluations["cross_fit"] = trainer.cross_fitted
        return write_results(directory, config, data, evaluations, temperatures, progress, cut)


@contextmanager
def _resume_hint(directory: Path, processes: PartialState) -> Iterator[None]:
    """Add the command that resumes the run to the error that interrupts it."""
    where = f" in {processes.num_processes} processes again" if processes.num_processes > 1 else ""
    hint = f"resume{where} with: textmix train --resume {directory}"
    try:
        yield
    except TrainingInterrupted as interruption:
        raise TrainingInterrupted(f"{interruption}; {hint}", interruption.number) from None
    except OSError as error:
        reason = f"{error.filename or directory}: {error.strerror or error}"
        raise RunError(f"{reason}; once that is fixed, {hint}") from error


@contextmanager
def _quiet(active: bool) -> Iterator[None]:
    """Suppress log records of textmix below WARNING within a block, if active."""
    textmix = logging.getLogger("textmix")
    level = textmix.level
    if active:
        textmix.setLevel(logging.WARNING)
    try:
        yield
    finally:
        textmix.setLevel(level)
