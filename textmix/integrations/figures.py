"""Figures: what a mixer did since the last log."""

from collections import Counter

import torch
from accelerate import Accelerator
from torch import Tensor

from textmix.hooks.attach import AttachedMixer


class Figures:
    """Sums up what a mixer does to each batch, on the batch's device, and hands out the means.

    Args:
        mixer: The mixer.

    Attributes:
        batches: Number of batches since the beginning.
    """

    def __init__(self, mixer: AttachedMixer) -> None:
        self.batches = 0
        self._mixer = mixer
        # In fixed order and never left out, so that all processes add up the same and all logs have the same columns.
        sites, strategies = mixer.sites, mixer.config.names
        self._shares = ["share"]
        self._shares += [_site(site) for site in sites] if len(sites) > 1 else []
        self._shares += [_strategy(name) for name in strategies] if len(strategies) > 1 else []
        self._reset()

    def _reset(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: Counter[str] = Counter()

    def add(self, rows: int) -> None:
        """Add the batch that the mixer has just seen.

        Args:
            rows: Number of its rows.
        """
        self.batches += 1
        self._counts.update(["batches"])
        self._counts["rows"] += rows
        for name, value in self._mixer.metrics.items():
            weighted = value.detach().float() * rows
            self._sums[name] = self._sums[name] + weighted if name in self._sums else weighted
        plan = self._mixer.plan
        if plan is not None:
            self._counts.update(["share", _site(plan.site), _strategy(plan.strategy.name)])

    def read(self, accelerator: Accelerator) -> dict[str, float]:
        """Return the means since the last reading, over all processes; all must call this together."""
        if not self._sums:
            return {}
        names = ["rows", "batches", *self._shares]
        line = torch.stack(list(self._sums.values()))
        line = torch.cat([line, line.new_tensor([self._counts[name] for name in names])])
        # The one time that the device is waited for.
        numbers = accelerator.reduce(line).tolist() if accelerator.num_processes > 1 else line.tolist()
        totals = dict(zip([*self._sums, *names], numbers, strict=True))
        means = {name: totals[name] / totals["rows"] for name in self._sums}
        shares = {name: totals[name] / totals["batches"] for name in self._shares}
        self._reset()
        return {f"mix_{name}": value for name, value in {**means, **shares}.items()}


def _site(site: str) -> str:
    return f"at_{site.replace(':', '_')}"


def _strategy(name: str) -> str:
    return f"by_{name}"
