"""`python -m fuzzing MUTANTS [--write docs/fuzz.md] [FORMAT ...]`: the table, and every fault."""

import argparse
import time
from pathlib import Path

from fuzzing.formats import FORMATS
from fuzzing.harness import fuzz, table

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("mutants", type=int)
parser.add_argument("formats", nargs="*", help=f"of {', '.join(FORMATS)}; all by default")
parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
parser.add_argument("--write", type=Path, help="put the rows into the table of this page")
args = parser.parse_args()
tallies = []
for name in args.formats or FORMATS:
    began_s = time.monotonic()
    tallies.append(fuzz(name, args.mutants, args.first))
    print(f"{name}: {time.monotonic() - began_s:.0f} s", flush=True)
    for number, word, detail in tallies[-1].faults:
        print(f"--- {name} {number} {word}: {detail[-1500:]}", flush=True)
    print(table(tallies), flush=True)
if args.write:
    page = args.write.read_text()
    head, old = page.split("<!-- table -->\n")
    old, tail = old.split("<!-- end -->")
    top, *rows = table(tallies).split("\n|---")[0], *table(tallies).split("\n")[1:]
    kept = {row.split(" | ")[0]: row for row in [*old.splitlines()[2:], *rows[1:]]}
    order = [f"| {name}" for name in FORMATS if f"| {name}" in kept]
    body = "\n".join([top, rows[0], *(kept[name] for name in order)])
    args.write.write_text(f"{head}<!-- table -->\n{body}\n<!-- end -->{tail}")
