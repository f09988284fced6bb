"""What older versions of libraries do not have."""

import pytest
import torch
from packaging.version import Version

HAS_EXPORTER = hasattr(torch.export.Dim, "DYNAMIC")
needs_exporter = pytest.mark.skipif(not HAS_EXPORTER, reason="the extra `export` needs torch 2.6")

needs_torch_load = pytest.mark.skipif(
    Version(torch.__version__) < Version("2.6"),
    reason="transformers loads no pickles with torch before 2.6, so that a stock Trainer cannot resume",
)

needs_mask_functions = pytest.mark.skipif(
    Version(torch.__version__) < Version("2.6"), reason="T5Gemma needs torch 2.6 in transformers"
)
