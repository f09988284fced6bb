import subprocess
import sys

import pytest

PROGRAM = """
import resource
import sys
import torch
from textmix.training.cpu.memory import keep_memory

if sys.argv[1] == "kept":
    assert keep_memory()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(15):  # glibc takes a few rounds until aligned blocks find their places
    torch.ones(10_000_000)
before = faults()
for _ in range(5):
    torch.ones(10_000_000)
print(faults() - before)
"""


def faults(allocator: str) -> int:
    command = [sys.executable, "-c", PROGRAM, allocator]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
def test_freed_memory_is_used_again_without_page_faults() -> None:
    # 5 times 40 MB in pages of 4 kB; kept, there may be a few of something else.
    assert faults("default") > 40_000
    assert faults("kept") < 1000


TRIMMED = """
import numpy as np
from textmix.training.cpu.memory import keep_memory, trim_memory

assert keep_memory()

def resident():
    return int(open("/proc/self/status").read().split("VmRSS:")[1].split()[0])

before = resident()
arrays = [np.ones(1_000_000) for _ in range(40)]
last = arrays.pop()  # above all others: the heap cannot shrink from its end
arrays.clear()
kept = resident() - before
trim_memory()
print(kept, resident() - before)
"""


def test_what_is_free_is_handed_back_when_it_is_asked_for() -> None:
    command = [sys.executable, "-c", TRIMMED]
    kept, trimmed = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert kept > 300_000  # kB, of 320 000
    assert trimmed < 50_000
