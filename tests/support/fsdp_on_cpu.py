"""Run textmix's command line under FSDP on the CPU.

PyTorch shards on the CPU over gloo; accelerate offers FSDP only where there are GPUs. It is told that the CPU is one.
"""

import os
import sys

from accelerate import DistributedType, PartialState
from torch import distributed

from textmix.cli.main import main

if __name__ == "__main__":
    os.environ.update(ACCELERATE_TORCH_DEVICE="cpu")
    distributed.init_process_group("gloo")
    PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_GPU)
    sys.exit(main())
