"""Communication between the processes of a training run."""

from hashlib import sha256
from typing import Any

import torch
from torch import distributed

from textmix.errors import RunError


class ProcessGroup:
    """The processes that train together, connected over the CPU; a single process is a group of one.

    Messages use gloo even where gradients do not, so that no process waits for its GPU.
    """

    def __init__(self) -> None:
        several = distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
        self._group = distributed.new_group(backend="gloo") if several else None
        self.size = distributed.get_world_size() if several else 1
        self.rank = distributed.get_rank() if several else 0

    def largest(self, number: int) -> int:
        """Return the largest of the numbers of all processes."""
        if self._group is None:
            return number
        numbers = torch.tensor(number)
        distributed.all_reduce(numbers, distributed.ReduceOp.MAX, group=self._group)
        return int(numbers)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, in the order of their ranks."""
        if self._group is None:
            return [value]
        values = [None] * self.size
        distributed.all_gather_object(values, value, group=self._group)
        return values

    def check_same(self, facts: dict[str, Any]) -> None:
        """Check that all processes start from the same values.

        Args:
            facts: Values to compare, by name.

        Raises:
            RunError: If one differs; names the first process that differs, and in what.
        """
        if self._group is None:
            return
        digests = {name: sha256(repr(fact).encode()).digest() for name, fact in facts.items()}
        everywhere = self.gather(digests)
        for number, other in enumerate(everywhere):
            different = [name for name in facts if other[name] != everywhere[0][name]]
            if different:
                raise RunError(
                    f"process {number} has different {' and '.join(different)} from process 0; all processes need the"
                    " same files and the same options"
                )
