"""Run histories, and print the table: what each fault cost; 1 where anything was wrong."""

from __future__ import annotations

import argparse
import asyncio
import sys

from tests.hub.machines.clients import MAKES
from tests.hub.machines.faults import FAULTS
from tests.hub.machines.histories import Histories


def main() -> int:
    parser = argparse.ArgumentParser(description="several machines, and what may befall them")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--people", type=int, default=18)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--makes", nargs="+", choices=tuple(MAKES), default=tuple(MAKES))
    parser.add_argument("--fault", nargs="+", help="only those whose name has one of these in it")
    arguments = parser.parse_args()
    chosen = None
    if arguments.fault:
        chosen = tuple(f for f in FAULTS if any(word in f.name for word in arguments.fault))
    makes = [MAKES[name] for name in arguments.makes]
    run = Histories(arguments.seed, arguments.people, arguments.nodes, makes=makes)
    asyncio.run(run.run(arguments.seconds, chosen))
    print(run.table())
    return bool(run.wrong)


if __name__ == "__main__":
    sys.exit(main())
