"""`textmix export RUN`, and `textmix predict --backend onnx`."""

import io
import shutil
from pathlib import Path

import pytest

from tests.support.commands import fails, tells
from tests.support.versions import needs_exporter
from textmix.cli.main import main


@needs_exporter
@pytest.mark.slow
def test_export_and_predict(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(run, tmp_path / "run")  # into which the model is exported; the other tests share the first
    message = fails(["predict", str(run), "-", "--backend", "onnx"], capsys)
    assert tells(message, "model.onnx", f"{run}/onnx", f"textmix export {run}")
    assert main(["export", str(run)]) == 0
    assert capsys.readouterr().out == f"saved to {run}/onnx\n"
    outputs = []
    for backend in ("torch", "onnx"):
        monkeypatch.setattr("sys.stdin", io.StringIO("goal match team\nsoup bread\n\n"))
        assert main(["predict", str(run), "-", "--backend", backend]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith("sport\t")


def test_wrong_input(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tells(fails(["export", str(tmp_path)], capsys), str(tmp_path), "not a run", "config.yaml")
    assert "--format" in fails(["export", str(run), "--format", "tflite"], capsys).replace("format", "--format")
    (tmp_path / "mine").touch()
    message = fails(["export", str(run), "--output_dir", str(tmp_path)], capsys)
    assert tells(message, f"output_dir {tmp_path}", "not an export")
    message = fails(["predict", str(run), "-", "--backend", "onnx", "--precision", "bf16"], capsys)
    assert tells(message, "--precision", "no effect", "--backend onnx")
