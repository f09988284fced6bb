"""What the processes of a training run must agree on, or tell each other."""

from hashlib import sha256
from typing import Any

import torch
from torch import distributed

from textmix.errors import RunError


class Agreement:
    """Connects the processes that train together, over the CPU; where there is only one, everything is as it says.

    Messages go through gloo even where gradients do not, so that no process waits for its GPU.
    """

    def __init__(self) -> None:
        several = distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
        self._group = distributed.new_group(backend="gloo") if several else None
        self.size = distributed.get_world_size() if several else 1
        self.rank = distributed.get_rank() if several else 0

    def largest(self, number: int) -> int:
        """Return the largest of the numbers that the processes give; all get the same answer, at the same step."""
        if self._group is None:
            return number
        numbers = torch.tensor(number)
        distributed.all_reduce(numbers, distributed.ReduceOp.MAX, group=self._group)
        return int(numbers)

    def gather(self, value: Any) -> list[Any]:
        """Collect a value of each process, in the order of their numbers; every process gets them all."""
        if self._group is None:
            return [value]
        values = [None] * self.size
        distributed.all_gather_object(values, value, group=self._group)
        return values

    def check_same(self, facts: dict[str, Any]) -> None:
        """Make sure that all processes start from the same.

        Args:
            facts: What to compare, by name.

        Raises:
            RunError: If one differs; names the first process that does, and in what.
        """
        if self._group is None:
            return
        digests = {name: sha256(repr(fact).encode()).digest() for name, fact in facts.items()}
        everywhere = self.gather(digests)
        for number, other in enumerate(everywhere):
            different = [name for name in facts if other[name] != everywhere[0][name]]
            if different:
                raise RunError(
                    f"process {number} has other {' and '.join(different)} than process 0; all need the same files and"
                    " the same options"
                )
