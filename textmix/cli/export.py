"""`textmix export`."""

from pathlib import Path
from typing import Literal

from textmix.cli.common import command_parser
from textmix.config.parsing import add_trust, check_trust, parse, read_run_config
from textmix.io.inputs import refuse_overwriting
from textmix.io.quiet import quiet_libraries


def export(arguments: list[str]) -> None:
    """Export the model of a run to ONNX."""
    parser = command_parser("export", "Export the model of a run to ONNX: textmix export RUN [OPTIONS]")
    parser.add_argument("run", help="directory of the run")
    parser.add_argument("--format", type=Literal["onnx"], default="onnx", help="onnx, the format of onnxruntime")
    parser.add_argument("--int8", action="store_true", help="quantize the weights of matrix products to 8-bit integers")
    parser.add_argument(
        "--output_dir",
        type=str | None,
        default=None,
        help="directory to write; null means RUN/onnx, where predict looks for it",
    )
    add_trust(parser)
    options = parse(parser, arguments)
    directory = Path(options["run"])
    config = check_trust(read_run_config(directory), arguments)

    quiet_libraries()
    from textmix.inference.onnx_export import export_onnx
    from textmix.io.run_directory import CONFIG_FILE, MODEL, ONNX

    target = Path(options["output_dir"]) if options["output_dir"] else directory / ONNX
    refuse_overwriting(target, [directory / CONFIG_FILE, directory / MODEL], "output_dir")
    export_onnx(directory / MODEL, target, options["int8"], config.model.trust_remote_code)
    print(f"saved to {target}")
