"""Run the benchmarks: ``python -m tests.benchmarks [NAME ...] [--quick]``, all by default."""

from __future__ import annotations

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def main() -> int:
    """Run each benchmark in a process of its own; return 1 if one failed."""
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    options = [argument for argument in sys.argv[1:] if argument.startswith("-")]
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"expected some of {', '.join(known)}; got {', '.join(unknown)}", file=sys.stderr)
        return 2
    failed = False
    for name in names or known:
        print(f"\n=== {name} " + "=" * (70 - len(name)), flush=True)
        module = f"{__package__}.bench_{name}"
        failed |= subprocess.run([sys.executable, "-m", module, *options]).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
