"""Hyperparameter search with Optuna: trials of a recipe, shared by any number of processes and machines."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import optuna
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from textmix.config.parsing import with_options
from textmix.config.run import RunConfig
from textmix.errors import ConfigError, ModelError, RunError, TrainingError, TrainingInterrupted, one_line
from textmix.experiments.resumable_run import train_or_resume
from textmix.experiments.sweep.report import best_of, write_report
from textmix.experiments.sweep.space import Space, draw, plain
from textmix.io.compat import stored_trial
from textmix.io.files import write_text
from textmix.io.inputs import refuse_overwriting
from textmix.io.locks import locked
from textmix.io.run_directory import ADAPTER, MODEL, check_parents, checkpoint_directory, data_digests, refuse_foreign
from textmix.models.loading import check_model
from textmix.runs.data import with_task
from textmix.runs.options import resolve
from textmix.tasks.names import METRICS, choose_metric

JOURNAL, DEFINITION, TRIALS = "journal.log", "sweep.yaml", "trials"
# A trial is pruned after an epoch if its best score so far is worse than the median of the other trials at that epoch
# (Golovin et al. 2017). Pruning starts at the second epoch, and after this number of completed trials.
_STARTUP_TRIALS, _WARMUP_EPOCHS = 5, 2

logger = logging.getLogger(__name__)


class Sweep:
    """Searches for the options with the best validation score.

    The whole state of a sweep is in its directory: the journal of the study, and a run directory for each trial. Any
    process that starts the same sweep in this directory shares the work: it takes over trials whose process has died
    and resumes them from their checkpoints, then draws new trials until their total number is reached. All trials have
    the same splits and different seeds. No trial evaluates the test split.

    Args:
        config: The base configuration; `output_dir` is the directory of the sweep.
        space: The search space.
        trials: Total number of trials.

    Raises:
        ConfigError: If there is no validation split.
        ModelError: If the model cannot be found.
        RunError: If the directory holds other files, or a sweep with another recipe or space.
    """

    def __init__(self, config: RunConfig, space: Space, trials: int) -> None:
        if config.data.validation_source is None and config.data.validation_fraction == 0:
            raise ConfigError("a sweep needs a validation split; set data.validation_fraction above 0")
        if "model.name" not in space:
            check_model(config.model)
        resolved, _ = with_task(resolve(config))  # raises errors of the base configuration before the first trial
        self.metric = choose_metric(resolved.known_task, config.train.metric)
        config = replace(config, task=resolved.task, train=replace(config.train, metric=self.metric))
        assert config.output_dir is not None
        self.directory = Path(config.output_dir)
        refuse_overwriting(self.directory, config.inputs, "output_dir")
        # Scores of trials are comparable only on the same splits.
        self._config = replace(config, data=replace(config.data, split_seed=config.data.seed(config.train.seed)))
        self._space = space
        self._trials = trials
        with self._locked():
            self._check_definition()
            self._study = self._open()

    def run(self) -> dict[str, Any]:
        """Train until the total number of trials is reached.

        Returns:
            The content of sweep.json; trials of other processes may still be running.

        Raises:
            TrainingInterrupted: On Ctrl-C or SIGTERM; the same sweep resumes.
            TextmixError: If there is an error that affects every trial.
        """
        while True:
            with ExitStack() as locks:
                trial = self._next_trial(locks)
                if trial is None:
                    break
                self._train(trial)
        with self._locked():
            return self._report()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the directory, so that one process at a time reads and changes the list of trials."""
        check_parents(self.directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        with locked(self.directory, wait=True):
            yield

    def _check_definition(self) -> None:
        """Write recipe and space to sweep.yaml, or check that an existing sweep.yaml has the same."""
        path = self.directory / DEFINITION
        recipe = replace(self._config, output_dir=None).to_dict()
        asked = {"space": plain(self._space), "recipe": recipe}
        refuse_foreign(self.directory, "a sweep", path.is_file())
        if not path.is_file():
            write_text(path, yaml.safe_dump(asked, sort_keys=False, allow_unicode=True))
            return
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        different = [part for part, value in asked.items() if found[part] != value]
        if different:
            raise RunError(
                f"{self.directory} holds a sweep with another {' and '.join(different)} (see {path}); choose another"
                " --output_dir, or remove it"
            )

    def _open(self) -> optuna.Study:
        return optuna.create_study(
            study_name="sweep",
            storage=JournalStorage(JournalFileBackend(str(self.directory / JOURNAL))),
            direction="maximize" if METRICS[self._config.known_task][self.metric] else "minimize",
            pruner=optuna.pruners.MedianPruner(_STARTUP_TRIALS, _WARMUP_EPOCHS),
            load_if_exists=True,
        )

    def _next_trial(self, locks: ExitStack) -> Trial | None:
        """Take over a trial whose process has died, or start a new one; the stack holds its lock."""
        with self._locked():
            trials = self._study.get_trials(deepcopy=False)
            for frozen in trials:
                if frozen.state == TrialState.RUNNING and self._lock(frozen.number, locks):
                    self._study.sampler = self._sampler(frozen.number)
                    trial = stored_trial(self._study, frozen)  # with its options from the journal
                    logger.info(f"trial {trial.number} was left unfinished; resuming it")
                    break
            else:
                if len(trials) >= self._trials:
                    return None
                self._study.sampler = self._sampler(len(trials))
                trial = self._study.ask()
                assert self._lock(trial.number, locks)  # no other process knows this trial
            draw(self._space, trial, self._config)
        return trial

    def _sampler(self, number: int) -> optuna.samplers.TPESampler:
        """Build a sampler with a seed for this trial.

        A resumed sweep therefore draws the same options as an uninterrupted one, and processes that share a sweep draw
        different options.
        """
        entropy = np.random.SeedSequence([self._config.train.seed, number])
        return optuna.samplers.TPESampler(seed=int(entropy.generate_state(1)[0]))

    def _lock(self, number: int, locks: ExitStack) -> bool:
        path = self.directory / TRIALS / f"{number}.lock"
        path.parent.mkdir(exist_ok=True)
        try:
            locks.enter_context(locked(path))
        except RunError:  # another process trains it
            return False
        return True

    def _run_directory(self, number: int) -> Path:
        return self.directory / TRIALS / str(number)

    def _configure(self, trial: Trial) -> RunConfig:
        options = draw(self._space, trial, self._config)  # options already drawn are returned again
        seed = (self._config.train.seed + trial.number) % 2**32
        config = with_options(self._config, {**options, "train.seed": seed})
        return replace(config, output_dir=str(self._run_directory(trial.number)))

    def _train(self, trial: Trial) -> None:
        try:
            config = self._configure(trial)
            others = (self._run_directory(number) for number in range(trial.number))
            sibling = next((run for run in others if data_digests(run) is not None), None)
            evaluated = partial(self._evaluated, trial)
            metrics = train_or_resume(config, test=False, sibling=sibling, on_evaluation=evaluated, show_progress=False)
        except optuna.TrialPruned:
            self._finish(trial, TrialState.PRUNED)
        except (ConfigError, ModelError, TrainingError) as error:  # caused by the options of this trial
            trial.set_user_attr("reason", one_line(str(error)))
            self._finish(trial, TrialState.FAIL)
        except TrainingInterrupted as interruption:
            reason = f"trial {trial.number} {interruption}".partition(";")[0]
            raise TrainingInterrupted(f"{reason}; run the same command again to resume", interruption.number) from None
        else:
            trial.set_user_attr("epochs", metrics["train"]["epochs"])
            trial.set_user_attr("seconds", metrics["train"]["seconds"])
            self._finish(trial, TrialState.COMPLETE, metrics["validation"][self.metric])

    def _evaluated(self, trial: Trial, epoch: int, last: bool, scores: dict[str, float]) -> None:
        # A resumed trial may repeat an epoch that it has already reported.
        known = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if epoch not in known:
            trial.report(scores[self.metric], epoch)
        if not last and trial.should_prune():  # after the last epoch it would save nothing
            trial.set_user_attr("epochs", epoch)
            raise optuna.TrialPruned

    def _finish(self, trial: Trial, state: TrialState, value: float | None = None) -> None:
        """Record the result of a trial, update the report, and log a line."""
        with self._locked():
            finished = self._study.tell(trial, value, state=state)
            trials = self._study.get_trials(deepcopy=False)
            self._remove_models(trials)
            self._report()
            best = best_of(trials, self._study.direction)
        logger.info(_line(finished, best, self.metric))

    def _remove_models(self, trials: list[FrozenTrial]) -> None:
        """Remove locks and checkpoints of finished trials, and all models except the best."""
        best = best_of(trials, self._study.direction)
        for trial in trials:
            if trial.state.is_finished():
                run = self._run_directory(trial.number)
                (run.parent / f"{run.name}.lock").unlink(missing_ok=True)
                rmtree(checkpoint_directory(run), ignore_errors=True)
                if trial is not best:
                    for name in (MODEL, ADAPTER):
                        rmtree(run / name, ignore_errors=True)

    def _report(self) -> dict[str, Any]:
        return write_report(self.directory, self._study, self.metric, self._run_directory, self._space)


def _line(trial: FrozenTrial, best: FrozenTrial | None, metric: str) -> str:
    if trial.state == TrialState.FAIL:
        return f"trial {trial.number} failed: {trial.user_attrs['reason']}"
    epochs = f" after {trial.user_attrs['epochs']} epochs"
    result = "pruned" if trial.state == TrialState.PRUNED else f"{metric} {trial.value:.4f}"
    line = f"trial {trial.number}: {result}{epochs}"
    return line if best is None else f"{line}; best {best.value:.4f} of trial {best.number}"
