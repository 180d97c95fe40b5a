"""``python -m benchmarks.zoo_attention`` compares attention of every transformer of the zoo.

Each model is exported with ``layers="attention"`` in a process of its own; ONNX Runtime's weights
and gradients are compared with PyTorch's autograd in float64. Results are stored in
``.zoo/attention.jsonl``; the table is written to ``docs/transformers-models.md`` and
``docs/attention.json``. A second run repeats only what failed, is new, or was checked with other
code or versions.
"""

from __future__ import annotations

import json
import sys
from argparse import SUPPRESS
from collections import Counter

from .latest import latest_records
from .script import DOCS, ROOT, options, say
from .zoo_attention_case import code_digest, run_case
from .zoo_attention_models import CASES
from .zoo_attention_report import write_report
from .zoo_process import spawn, work
from .zoo_record import Record, versions

_TIMEOUT = 1800  # seconds for one model
_FINAL = ("pass", "refused", "no export", "none")


def main() -> int:
    """Run what is missing and write the table; 1 if any model fails."""
    asked = options(
        __doc__,
        models=("", "names or families (torchvision, timm, transformers), with commas"),
        threads=(1, "threads of each"),
        fresh=(False, "repeat what has passed, too"),
        keep=(False, "keep what earlier code passed"),
        folder=(ROOT / ".zoo", "folder for results"),
        docs=(DOCS, "where the table goes"),
        worker=("", SUPPRESS),
    )
    if asked.worker:
        return work(asked.worker, CASES, run_case, asked.threads)
    results = asked.folder / "attention.jsonl"
    asked.folder.mkdir(parents=True, exist_ok=True)
    names = set(asked.models.split(",")) if asked.models else set()
    chosen = [c for c in CASES if not names or names & {c.model, c.family}]
    for case in chosen:
        latest = latest_records(results, asked.docs / "attention.json").get(case.key)
        if asked.fresh or latest is None or not _is_final(latest, asked.keep):
            record = spawn("benchmarks.zoo_attention", case, asked.threads, _TIMEOUT, code_digest())
            with results.open("a") as file:
                file.write(json.dumps(record) + "\n")
            say(_line(record))
    latest = latest_records(results, asked.docs / "attention.json")
    write_report([latest[c.key] for c in CASES if c.key in latest], asked.docs, len(CASES))
    verdicts = Counter(latest[case.key]["verdict"] for case in chosen)
    say(", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
    return 1 if verdicts["fail"] else 0


def _is_final(record: Record, any_code: bool) -> bool:
    same = record["versions"] == versions(record["family"])
    return record["verdict"] in _FINAL and same and (any_code or record["code"] == code_digest())


def _line(record: Record) -> str:
    text = f"{record['key']}: {record['verdict']} ({record.get('seconds', 0):.0f} s)"
    if "blocks" in record:
        errors = (f"{record[name]['error']:.0e}" for name in ("weights", "gradients"))
        text += f"; {record['blocks']} of {record['softmaxes']}, {record['roles']}; "
        text += f"{', '.join(errors)}; {', '.join(record['methods'])}"
    return "\n    ".join([text, *record["faults"]])


if __name__ == "__main__":
    sys.exit(main())
