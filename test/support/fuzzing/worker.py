"""Reads mutants of one format, one after another, in a process that may be killed.

`python -m fuzzing.worker FORMAT CORPUS FIRST END`; a JSON line before and after each mutant.
"""

import json
import os
import resource
import shutil
import sys
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import numpy as np

from fuzzing.formats import FORMATS, ChangedError, Format, outcome
from fuzzing.mutations import mutated

MEMORY_BYTES = 12 << 30


def prepare(kind: Format, corpus: Path, scratch: Path, number: int) -> str:
    """Puts a mutant into a folder; returns the name of the file that was changed."""
    rng = np.random.default_rng([crc32(kind.name.encode()), number])
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(corpus, scratch)
    files = sorted(p.relative_to(corpus) for p in corpus.rglob("*") if p.is_file())
    file = files[int(rng.integers(len(files)))]
    data = mutated((corpus / file).read_bytes(), rng, file.name in kind.texts)
    (scratch / file).write_bytes(data)
    return str(file)


def work(kind: Format, corpus: Path, first: int, end: int) -> None:
    """Tells of each mutant on the standard output, which nothing else may use."""
    told = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with TemporaryDirectory() as folder:
        scratch = Path(folder, "mutant")
        shutil.copytree(corpus, scratch)
        was = kind.read(scratch)
        for number in range(first, end):
            file = prepare(kind, corpus, scratch, number)
            print(json.dumps([number, "began", file]), file=told)
            try:
                word, detail = outcome(kind, scratch, file, number, was)
            except ChangedError as error:
                word, detail = "silent", str(error)
            except Exception:
                word, detail = "traceback", traceback.format_exc()
            print(json.dumps([number, word, f"{file}: {detail}"]), file=told)


def main() -> None:
    """By the arguments of the process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    work(FORMATS[sys.argv[1]], Path(sys.argv[2]), *map(int, sys.argv[3:5]))


if __name__ == "__main__":
    main()
