"""Run the common model tests of transformers over the models of textmix, and compare with `expected.yaml`.

The tests are in the source distribution of transformers, in the installed version; it is fetched into a directory that
git ignores. Two mixins that it leaves out, for exporters and for text generation, are empty: no model here generates.
The exit status is 0 only if every failure is expected.

Run as: python -m tests.peers.run [--directory .peers] [arguments of pytest]
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import transformers
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
# What `tests/utils/test_configuration_utils.py`, which is not in the distribution, gives every configuration.
COMMON = {
    "return_dict": False,
    "output_hidden_states": True,
    "dtype": "float16",
    "chunk_size_feed_forward": 5,
    "architectures": ["AnyModel"],
    "id2label": {0: "label"},
    "label2id": {"label": 0},
    "problem_type": "regression",
}
STUBS = {
    "exporters/test_export.py": "class ExportTesterMixin: pass\n",
    "generation/test_utils.py": "class GenerationTesterMixin: pass\n",
    "utils/test_configuration_utils.py": f"config_common_kwargs = {COMMON!r}\n",
}


def fetch(directory: Path) -> Path:
    """Fetch and unpack the source distribution of the installed transformers; returns its root."""
    name = f"transformers-{transformers.__version__}"
    root = directory / name
    if not root.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "transformers"]
        subprocess.run([*pip, "--dest", str(directory), name.replace("-", "==")], check=True)
        with tarfile.open(directory / f"{name}.tar.gz") as archive:
            archive.extractall(directory, filter="data")
    return root


def prepare(root: Path) -> Path:
    """Put our cases and the missing mixins beside the tests of transformers; returns the file of the cases."""
    tests = root / "tests"
    (tests / "__init__.py").touch()
    for name, text in STUBS.items():
        file = tests / name
        file.parent.mkdir(exist_ok=True)
        (file.parent / "__init__.py").touch()
        file.write_text(text)
    return Path(shutil.copy(HERE / "cases.py", tests / "test_textmix.py"))


def run(root: Path, cases: Path, arguments: list[str]) -> list[tuple[str, str, str]]:
    """Run the cases; returns the case, the test and the outcome of each test."""
    report = root / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", str(cases), "-q", "-n", "2", "--tb=short", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    subprocess.run([*command, "-W", "ignore", f"--junitxml={report}", *arguments], cwd=root, env=environment)
    if not report.exists():
        sys.exit("pytest wrote no report: see its output above")
    found = []
    for case in ET.parse(report).getroot().iter("testcase"):
        outcomes = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        name = case.get("classname", "").rsplit(".", 1)[-1].removeprefix("Test")
        found.append((name, case.get("name", ""), outcomes[0] if outcomes else "passed"))
    return found


def is_expected(case: str, test: str, expected: list[dict[str, str]]) -> bool:
    """Return whether a failure is on the list; an entry without `case` holds for all."""
    return any(test == entry["test"] and case.startswith(entry.get("case", "")) for entry in expected)


def main() -> None:
    """Run everything and print the summary last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=ROOT / ".peers", help="where the distribution is unpacked")
    options, arguments = parser.parse_known_args()
    started = time.perf_counter()
    root = fetch(options.directory.absolute())
    outcomes = run(root, prepare(root), arguments)
    expected = yaml.safe_load((HERE / "expected.yaml").read_text())
    failed = [(case, test) for case, test, outcome in outcomes if outcome in ("failure", "error")]
    unexpected = [f"{case}: {test}" for case, test in failed if not is_expected(case, test, expected)]
    needless = [entry for entry in expected if not any(is_expected(*failure, [entry]) for failure in failed)]
    counts = Counter(outcome for _, _, outcome in outcomes)
    for line in unexpected:
        print(f"unexpected failure: {line}")
    for entry in needless:
        print(f"does not fail: {entry['test']} of {entry.get('case', 'every case')}")
    summary = [
        f"{counts['passed']} passed",
        f"{counts['skipped']} skipped",
        f"{len(failed) - len(unexpected)} failed as expected",
        f"{len(unexpected)} failed unexpectedly",
        f"{len(needless)} expected failures did not happen",
    ]
    head = f"transformers {transformers.__version__}, {len({case for case, _, _ in outcomes})} cases: "
    print(f"{head}{', '.join(summary)}; {time.perf_counter() - started:.0f} s")
    sys.exit(bool(unexpected or needless or not counts["passed"]))


if __name__ == "__main__":
    main()
