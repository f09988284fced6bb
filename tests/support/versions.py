"""What older versions of libraries do not have."""

import pytest
import torch

needs_exporter = pytest.mark.skipif(
    not hasattr(torch.export.Dim, "DYNAMIC"), reason="the extra `export` needs torch 2.6"
)
