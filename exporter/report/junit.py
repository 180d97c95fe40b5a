"""`junit` writes verifications as JUnit XML, which CI systems show beside tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as Xml

from ...runtime.plain_text import plain
from ..verify.verdict.findings import Finding, worst_of
from ..verify.verdict.report import grouped
from .answer import answer_of, sentence
from .record import Record

# XML has no way to write these, not even as a reference.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(records: Sequence[Record]) -> bytes:
    """Return a document with a suite for each artifact and a case for each check of a tensor.

    A check that failed is a ``failure``, one that could not be made an ``error``, one that does not
    apply ``skipped``.
    """
    root = Xml.Element("testsuites", name="graftcam verify")
    suites = [_suite(root, record) for record in records]
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in suites):.3f}")
    Xml.indent(root)
    return Xml.tostring(root, "utf-8", xml_declaration=True) + b"\n"


def _suite(root: Xml.Element, record: Record) -> Xml.Element:
    suite = Xml.SubElement(root, "testsuite", name=_text(record.file))
    for group in grouped(record.findings):
        _case(suite, record, worst_of(group))
    if not record.findings:
        case = _named(suite, record, "verification")
        why = answer_of(record).why
        if record.verdict == "error":
            _outcome(case, "error", "export", why, why)
        else:
            Xml.SubElement(case, "skipped", message=_text(why))
    kinds = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
    for name, tag in kinds.items():
        suite.set(name, str(len(list(suite.iter(tag)))))
    suite.set("time", f"{sum(record.seconds.values()):.3f}")
    return suite


def _case(suite: Xml.Element, record: Record, worst: Finding) -> None:
    case = _named(suite, record, " ".join(dict.fromkeys([worst.check, worst.subject])).strip())
    if worst.status == "fail":
        _outcome(case, "failure", "fail", sentence(worst), worst.reason)
    elif worst.status == "unproven":
        _outcome(case, "error", "unproven", worst.reason, worst.reason)
    elif worst.status == "skipped":
        Xml.SubElement(case, "skipped", message=_text(worst.reason))


def _named(suite: Xml.Element, record: Record, name: str) -> Xml.Element:
    return Xml.SubElement(
        suite, "testcase", name=_text(name), classname=_text(record.file), time="0"
    )


def _outcome(case: Xml.Element, tag: str, kind: str, message: str, text: str) -> None:
    Xml.SubElement(case, tag, type=kind, message=_text(message)).text = _text(text)


def _text(text: str) -> str:
    return _NO_XML.sub("?", plain(text))
