"""`graftcam verify` checks whether an artifact may ship."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..runtime.exit_codes import ExitCode
from .common import Steps, command, need_exporter, say
from .completes import completes
from .custody import check_signature, checked_key, custody_options, write_attestation
from .guarded import STDOUT, Destination, TextOrFile
from .models import ModelFile
from .opening import open_option, open_written
from .options import FILE, engine_option, max_pixels_option, source_options
from .sections import RESULTS, RUN, Section, under
from .terminal import marked


@command(
    "graftcam verify resnet50.onnx",
    "graftcam verify resnet50.onnx --against torchvision:resnet50 --weights resnet50.pt",
    "graftcam verify my.onnx --against plain.onnx --images images --json verdict.json",
    "graftcam verify my.onnx --against my.models:build --all",
    "graftcam verify my.onnx --json | jq -r .verdict",
    "graftcam verify my.onnx --engine openvino",
    "graftcam verify my.onnx --junit junit.xml",
    "graftcam verify my.onnx --signature my.onnx.sig --public-key key.pub",
    "graftcam verify my.onnx --attest verdict.json --key key.pem",
)
@click.argument("artifact", type=ModelFile())
@under(
    Section("What it is compared with"),
    click.option("--against", type=TextOrFile(), metavar="SOURCE",
                 shell_complete=completes("source"),
                 help="What it was made from, as for `graftcam export`. Default: its own forward "
                      "part, with finite differences."),
    source_options,
    click.option("--labels", multiple=True, type=TextOrFile(), metavar="[OUTPUT=]FILE",
                 help="Class names that it must have: one a line, or JSON; repeatable for several "
                      "outputs, as OUTPUT=FILE then. Default: those of the source."),
    click.option("--images", type=FILE, metavar="DIR",
                 help="Folder of images to check on beside random inputs."),
)  # fmt: skip
@under(
    RUN,
    click.option("--all", "everything", is_flag=True,
                 help="Make every check. Default: stop at the first that fails."),
    click.option("--seconds", type=float, metavar="N",
                 help="How long to compare. Default: 600; inf: until it is done."),
    engine_option,
    max_pixels_option,
)  # fmt: skip
@under(
    RESULTS,
    click.option("--json", "file", type=Destination(), is_flag=False, flag_value=STDOUT,
                 metavar="[FILE]",
                 help="Write the report to this file; alone, or with -, print it instead of the "
                      "text."),
    click.option("--junit", type=Destination(), metavar="FILE",
                 help="Write JUnit XML for CI systems; of several artifacts: `graftcam report`."),
    open_option,
)  # fmt: skip
@custody_options
def verify(
    artifact: Path, against: str | None, weights: str | None,
    shapes: dict[str, list[int | None]], trust: bool, labels: tuple[str, ...], images: Path | None,
    engine: str | None, max_pixels: int, seconds: float | None, everything: bool,
    file: Path | None, junit: Path | None,
    signature: Path | None, public_key: Path | None, chain: tuple[Path, ...],
    attest: Path | None, key: Path | None, opened: bool,
) -> None:  # fmt: skip
    """Check whether ARTIFACT may ship: exit code 0 if it may, 1 if not, with the reasons.

    Exit code 3 if nothing is wrong but something could not be proven, such as for want of time.

    Outputs, activations, gradients and heatmaps are compared with the source (PyTorch autograd in
    float64, or finite differences) at every optimisation level of ONNX Runtime, or with --engine
    in the program that will run it. The first check
    that fails decides; those after it are skipped unless --all is given. The artifact itself is
    not changed.

    With --signature, and none of the options that compare, only the signature and the digests in
    the file are checked; PyTorch is not needed.
    """
    if opened and (file is None or str(file) == STDOUT):
        raise click.UsageError("--open shows the report; give its file: --json FILE")
    if against is None and (weights or shapes):
        raise click.UsageError("--weights and --shape describe a source; name it with --against")
    signer = checked_key(signature, public_key, chain, attest, key)
    if signature is not None:
        compared = (
            against,
            labels,
            images,
            engine,
            seconds is not None,
            everything,
            file,
            junit,
            attest,
        )
        alone = not any(compared)
        check_signature(artifact, signature, public_key, chain, alone=alone)
        if alone:
            return
    need_exporter(artifact, against)
    from ..exporter.errors import WriteError, errors_of_model
    from ..exporter.release import input_shapes, scored_outputs, verify_artifact
    from ..exporter.report.junit import junit as junit_of
    from ..exporter.report.record import Record
    from ..exporter.source.labels import labels_of_files
    from ..exporter.source.named import is_file, load_source
    from ..exporter.verify.verdict.report import describe_verdict, to_json
    from ..runtime.writing import replace_file

    source = None
    if against is not None:
        if shapes and is_file(against):
            raise click.UsageError(
                "the artifact records the shapes that it was exported with; leave --shape out"
            )
        recorded = {} if is_file(against) else input_shapes(artifact)
        source = load_source(against, weights, shapes, recorded, trust=trust)
    outputs = scored_outputs(artifact) if labels else ()
    names = labels_of_files(labels, outputs) if labels else source and source.labels
    most = 600.0 if seconds is None else seconds
    with Steps(most) as steps, errors_of_model(artifact):
        spec, verdict = verify_artifact(
            artifact, source, names, images, seconds=seconds, progress=steps,
            everything=everything, max_pixels=max_pixels, engine=engine,
        )  # fmt: skip
    report = to_json(artifact, spec, against, verdict)
    if file is not None and str(file) != STDOUT:
        replace_file(file, report.encode(), WriteError)
    if junit is not None:
        record = Record.of(json.loads(report))
        replace_file(junit, junit_of([record]), WriteError)
    if attest is not None:
        write_attestation(artifact, attest, report, signer)
    if str(file) == STDOUT:
        say(report, nl=False)
    else:
        say(marked(describe_verdict(artifact, verdict)), colour=True)
    if opened and file is not None:
        open_written([file])
    if verdict.status != "pass":
        raise click.exceptions.Exit(ExitCode.FAILED if verdict.failures else ExitCode.UNPROVEN)
