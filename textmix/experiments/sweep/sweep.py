"""A sweep: trials of a recipe with other options, chosen by Optuna, shared by any number of processes and machines."""

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
from textmix.config.train import TrainConfig
from textmix.errors import ConfigError, ModelError, RunError, TrainingError, TrainingInterrupted, one_line
from textmix.evaluation.metrics import SELECTION_METRICS
from textmix.experiments.resumable_run import train_or_resume
from textmix.experiments.sweep.report import best_of, write_report
from textmix.experiments.sweep.space import Space, draw, plain
from textmix.io.compat import stored_trial
from textmix.io.files import write_text
from textmix.io.inputs import refuse_overwriting
from textmix.io.locks import locked
from textmix.io.run_directory import MODEL, check_parents, checkpoint_directory, data_digests, refuse_foreign
from textmix.models.loading import check_model
from textmix.runs.options import resolve

JOURNAL, QUESTION, TRIALS = "journal.log", "sweep.yaml", "trials"
# A trial is pruned after an epoch when its best score so far is worse than the median of the others at that epoch
# (Golovin et al. 2017), but neither after its first epoch nor before so many trials have been completed.
_STARTUP_TRIALS, _WARMUP_EPOCHS = 5, 2

logger = logging.getLogger(__name__)


class Sweep:
    """Looks for the options of a recipe that do best on its validation split.

    All that a sweep knows is in its directory: the journal of the study, and a run directory for each trial. Whoever
    starts a sweep with the same question there takes part in it: takes over trials whose process has died, which go on
    from their checkpoints, then draws new ones until there are as many as asked for. Trials have seeds of their own,
    but the same splits; the test split is evaluated in none of them.

    Args:
        config: The recipe; `output_dir` is the directory of the sweep.
        space: What is searched.
        trials: How many trials there are to be in all.

    Raises:
        ConfigError: If there is no validation split to choose by.
        ModelError: If the model of the recipe cannot be found.
        RunError: If the directory holds something else, or a sweep with another recipe or space.
    """

    def __init__(self, config: RunConfig, space: Space, trials: int) -> None:
        if config.data.validation_source is None and config.data.validation_fraction == 0:
            raise ConfigError("a sweep chooses on the validation split; set data.validation_fraction above 0")
        if "model.name" not in space:
            check_model(config.model)
        resolve(config)  # what cannot work in any trial is told before the first
        assert config.output_dir is not None
        self.directory = Path(config.output_dir)
        refuse_overwriting(self.directory, config.inputs, "output_dir")
        self.metric = config.train.metric
        # Trials with splits of their own could not be compared.
        self._config = replace(config, data=replace(config.data, split_seed=config.data.seed(config.train.seed)))
        self._space = space
        self._trials = trials
        with self._turn():
            self._check_question()
            self._study = self._open()

    def run(self) -> dict[str, Any]:
        """Train until there are as many trials as asked for.

        Returns:
            What stands in sweep.json; trials of other processes may still be running.

        Raises:
            TrainingInterrupted: On Ctrl-C or SIGTERM; the same sweep goes on.
            TextmixError: If something is wrong that would be so in every trial.
        """
        while True:
            with ExitStack() as held:
                trial = self._take(held)
                if trial is None:
                    break
                self._train(trial)
        with self._turn():
            return self._report()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one process at a time look at the trials and change which there are."""
        check_parents(self.directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        with locked(self.directory, wait=True):
            yield

    def _check_question(self) -> None:
        """Write down what is asked, or make sure that it is what was asked in this directory before."""
        path = self.directory / QUESTION
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
            direction="maximize" if SELECTION_METRICS[self.metric] else "minimize",
            pruner=optuna.pruners.MedianPruner(_STARTUP_TRIALS, _WARMUP_EPOCHS),
            load_if_exists=True,
        )

    def _take(self, held: ExitStack) -> Trial | None:
        """Take over a trial whose process has died, or begin a new one; its lock is held until the stack is closed."""
        with self._turn():
            trials = self._study.get_trials(deepcopy=False)
            for frozen in trials:
                if frozen.state == TrialState.RUNNING and self._lock(frozen.number, held):
                    self._study.sampler = self._sampler(frozen.number)
                    trial = stored_trial(self._study, frozen)  # what was drawn for it stands in the journal
                    logger.info(f"trial {trial.number} was left unfinished and goes on")
                    break
            else:
                if len(trials) >= self._trials:
                    return None
                self._study.sampler = self._sampler(len(trials))
                trial = self._study.ask()
                assert self._lock(trial.number, held)  # nobody else knows of it
            draw(self._space, trial, self._config)
        return trial

    def _sampler(self, number: int) -> optuna.samplers.TPESampler:
        """Give each trial a seed to be drawn from.

        A sweep that was killed draws what it would have drawn, and processes that share one do not draw the same.
        """
        entropy = np.random.SeedSequence([self._config.train.seed, number])
        return optuna.samplers.TPESampler(seed=int(entropy.generate_state(1)[0]))

    def _lock(self, number: int, held: ExitStack) -> bool:
        path = self.directory / TRIALS / f"{number}.lock"
        path.parent.mkdir(exist_ok=True)
        try:
            held.enter_context(locked(path))
        except RunError:  # it is being trained
            return False
        return True

    def _place(self, number: int) -> Path:
        return self.directory / TRIALS / str(number)

    def _configure(self, trial: Trial) -> RunConfig:
        options = draw(self._space, trial, self._config)  # what was drawn before is drawn again
        seed = (self._config.train.seed + trial.number) % 2**32
        config = with_options(self._config, {**options, "train.seed": seed})
        return replace(config, output_dir=str(self._place(trial.number)))

    def _train(self, trial: Trial) -> None:
        try:
            config = self._configure(trial)
            others = (self._place(number) for number in range(trial.number))
            sibling = next((place for place in others if data_digests(place) is not None), None)
            evaluated = partial(self._evaluated, trial, config.train)
            metrics = train_or_resume(config, test=False, sibling=sibling, on_evaluation=evaluated, show_progress=False)
        except optuna.TrialPruned:
            self._tell(trial, TrialState.PRUNED)
        except (ConfigError, ModelError, TrainingError) as error:  # of these options; others may do better
            trial.set_user_attr("reason", one_line(str(error)))
            self._tell(trial, TrialState.FAIL)
        except TrainingInterrupted as interruption:
            reason = f"trial {trial.number} {interruption}".partition(";")[0]
            raise TrainingInterrupted(f"{reason}; run the same command again to resume", interruption.number) from None
        else:
            trial.set_user_attr("epochs", metrics["train"]["epochs"])
            trial.set_user_attr("seconds", metrics["train"]["seconds"])
            self._tell(trial, TrialState.COMPLETE, metrics["validation"][self.metric])

    def _evaluated(self, trial: Trial, train: TrainConfig, epoch: int, scores: dict[str, float]) -> None:
        # A trial that was taken over may have reported the epoch that it repeats.
        known = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if epoch not in known:
            trial.report(scores[self.metric], epoch)
        last = train.max_steps is None and epoch == train.epochs  # where nothing can be saved any more
        if not last and trial.should_prune():
            trial.set_user_attr("epochs", epoch)
            raise optuna.TrialPruned

    def _tell(self, trial: Trial, state: TrialState, value: float | None = None) -> None:
        with self._turn():
            told = self._study.tell(trial, value, state=state)
            trials = self._study.get_trials(deepcopy=False)
            self._tidy(trials)
            self._report()
            best = best_of(trials, self._study.direction)
        logger.info(_line(told, best, self.metric))

    def _tidy(self, trials: list[FrozenTrial]) -> None:
        """Remove the models of all finished trials but the best."""
        best = best_of(trials, self._study.direction)
        for trial in trials:
            if trial.state.is_finished():
                place = self._place(trial.number)
                (place.parent / f"{place.name}.lock").unlink(missing_ok=True)
                rmtree(checkpoint_directory(place), ignore_errors=True)
                if trial is not best:
                    rmtree(place / MODEL, ignore_errors=True)

    def _report(self) -> dict[str, Any]:
        return write_report(self.directory, self._study, self.metric, self._place, self._space)


def _line(trial: FrozenTrial, best: FrozenTrial | None, metric: str) -> str:
    if trial.state == TrialState.FAIL:
        return f"trial {trial.number} failed: {trial.user_attrs['reason']}"
    epochs = f" after {trial.user_attrs['epochs']} epochs"
    result = "pruned" if trial.state == TrialState.PRUNED else f"{metric} {trial.value:.4f}"
    line = f"trial {trial.number}: {result}{epochs}"
    return line if best is None else f"{line}; best {best.value:.4f} of trial {best.number}"
