"""Running means of the metrics of a mixer, kept on the device until they are read."""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from textmix.mixing.mixer import Mixer, MixObserver


class RunningMeans:
    """Weighted means since the last reading, of scalar tensors and numbers; sums of tensors stay on their device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor | float] = {}
        self._weights: dict[str, float] = {}

    def add(self, values: Mapping[str, Tensor | float], weight: float = 1.0) -> None:
        """Add values, each with this weight in its mean."""
        for name, value in values.items():
            detached = value.detach() if isinstance(value, Tensor) else value
            self._sums[name] = self._sums.get(name, 0.0) + weight * detached
            self._weights[name] = self._weights.get(name, 0.0) + weight

    def read(self, add_up: Callable[[Tensor], Tensor] = lambda line: line) -> dict[str, float]:
        """Return the means and reset them; if there are values, at least one must be a tensor.

        Args:
            add_up: Sums a vector over all processes.
        """
        if not self._sums:
            return {}
        tensors = [total for total in self._sums.values() if isinstance(total, Tensor)]
        dtype = reduce(torch.promote_types, (total.dtype for total in tensors), torch.float32)
        numbers = [*self._sums.values(), *self._weights.values()]
        line = torch.stack([torch.as_tensor(one, dtype=dtype, device=tensors[0].device) for one in numbers])
        totals = add_up(line).tolist()  # the only synchronisation with the device
        count = len(self._sums)
        means = {name: totals[place] / totals[count + place] for place, name in enumerate(self._sums)}
        self._sums, self._weights = {}, {}
        return means

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far."""
        sums = {name: total.cpu() if isinstance(total, Tensor) else total for name, total in self._sums.items()}
        return {"sums": sums, "weights": dict(self._weights)}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore what `state_dict` returned."""
        sums = state["sums"].items()
        self._sums = {name: total.to(device) if isinstance(total, Tensor) else total for name, total in sums}
        self._weights = dict(state["weights"])


class MixMetrics(MixObserver):
    """An observer that averages the metrics of a mixer between two readings.

    `lam` and `accuracy` are means over rows. `share` is the share of batches that were mixed; where there are several
    to draw from, `at_<site>` and `by_<strategy>` are the shares mixed at each site and by each strategy.

    Args:
        mixer: The mixer.
    """

    def __init__(self, mixer: Mixer) -> None:
        self._mixer = mixer
        self._means = RunningMeans()
        sites, strategies = mixer.sites, mixer.config.names
        # The names and their order are fixed: all processes sum the same vector, and all logs have the same columns.
        self._shares = ["share"]
        self._shares += [_at(site) for site in sites] if len(sites) > 1 else []
        self._shares += [_by(name) for name in strategies] if len(strategies) > 1 else []

    def scored(self, rows: int, loss: Tensor) -> None:
        """Add the batch that was scored."""
        plan = self._mixer.plan
        mixed = set() if plan is None else {"share", _at(plan.site), _by(plan.strategy.name)}
        self._means.add(self._mixer.metrics, rows)
        self._means.add({name: float(name in mixed) for name in self._shares})

    def read(self, add_up: Callable[[Tensor], Tensor] = lambda line: line) -> dict[str, float]:
        """Return the means and reset them; `add_up` sums a vector over all processes."""
        return self._means.read(add_up)


def _at(site: str) -> str:
    return f"at_{site.replace(':', '_')}"


def _by(name: str) -> str:
    return f"by_{name}"
