"""``python -m hostile.guided READER`` lets coverage guide the mutants, with the package atheris.

The arguments after the reader's name are libFuzzer's, such as ``-max_total_time=600``, and a folder
in which it collects what reached new code. The mutants are those of `mutate`, so that formats with
checksums and lengths are passed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["graftcam"]):
    from hostile.work import readers

from hostile.mutate import mutant
from hostile.trial import trial


def main() -> None:
    """Fuzz one reader until a mutant breaks a promise."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    known = readers()
    if name not in known:
        sys.exit(f"unknown reader {name!r}; there are {', '.join(known)}")
    reader, folder = known[name], Path(tempfile.mkdtemp())
    seeds = Path(tempfile.mkdtemp())
    for number, data in enumerate(reader.files()):
        (seeds / str(number)).write_bytes(data)

    def once(data: bytes) -> None:
        found = trial(reader, data, folder)
        if not found.right:
            raise RuntimeError(str(found))

    def changed(data: bytes, most: int, seed: int) -> bytes:
        return mutant(data, reader.form, Random(seed), reader.files())[:most]

    atheris.Setup([*sys.argv, str(seeds)], once, custom_mutator=changed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
