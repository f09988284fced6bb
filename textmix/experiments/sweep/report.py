"""Report of a sweep: sweep.json, sweep.md, and the best configuration as a recipe."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from optuna import Study
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from textmix.config.parsing import read_run_config
from textmix.evaluation.tables import Table
from textmix.experiments.sweep.space import Space, plain
from textmix.io.files import write_json, write_text

BEST, JSON, MARKDOWN = "best.yaml", "sweep.json", "sweep.md"
_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


def best_of(trials: list[FrozenTrial], direction: StudyDirection) -> FrozenTrial | None:
    """Return the best completed trial, the first of equals; None if no trial was completed."""
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    sign = -1 if direction == StudyDirection.MAXIMIZE else 1
    return min(completed, key=lambda trial: sign * (trial.value or 0.0), default=None)


def write_report(
    directory: Path, study: Study, metric: str, run_directory: Callable[[int], Path], space: Space
) -> dict[str, Any]:
    """Write the report of a sweep.

    Args:
        directory: Directory of the sweep.
        study: Its study.
        metric: The metric that trials are compared by.
        run_directory: Returns the directory of a trial.
        space: The search space.

    Returns:
        The content of sweep.json.
    """
    trials = study.get_trials(deepcopy=False)
    best = best_of(trials, study.direction)
    report = {
        "metric": metric,
        "split": "validation",
        "direction": study.direction.name.lower(),
        "best": None if best is None else _row(best),
        "trials": [_row(trial) for trial in trials],
        "space": plain(space),
    }
    if best is not None:
        path = directory / BEST
        config = replace(read_run_config(run_directory(best.number)), output_dir=str(directory / "best"))
        write_text(path, f"# textmix train {path}\n{config.to_yaml()}")
    write_json(directory / JSON, report)
    write_text(directory / MARKDOWN, _markdown(directory, report))
    return report


def _row(trial: FrozenTrial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": _STATES[trial.state],
        "value": trial.value if trial.state == TrialState.COMPLETE else None,
        "options": {
            name: json.loads(value) if isinstance(value, str) else value for name, value in trial.params.items()
        },
        "epochs": trial.user_attrs.get("epochs"),
        "seconds": trial.user_attrs.get("seconds"),
        "reason": trial.user_attrs.get("reason"),
    }


def trials_table(report: dict[str, Any]) -> Table:
    """Build the table of trials: the best first, trials without a value last."""
    sign = -1 if report["direction"] == "maximize" else 1
    order = sorted(report["trials"], key=lambda row: (row["value"] is None, sign * (row["value"] or 0.0)))
    header = ("trial", f"{report['metric']} ({report['split']})", "epochs", "options")
    rows = [
        (
            str(row["number"]),
            row["state"] if row["value"] is None else f"{row['value']:.4f}",
            str(row["epochs"] or ""),
            row["reason"] or ", ".join(f"{name}={_short(value)}" for name, value in row["options"].items()),
        )
        for row in order
    ]
    return Table(header, rows)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value).strip('"')


def _markdown(directory: Path, report: dict[str, Any]) -> str:
    lines = [
        f"# Sweep of {len(report['trials'])} trials by {report['metric']} on the validation split",
        "",
        "The validation score of the best trial is optimistic. Measure it on the test split:"
        f" `textmix train {directory / BEST}`.",
        "",
        trials_table(report).markdown(),
    ]
    return "\n".join(lines) + "\n"
