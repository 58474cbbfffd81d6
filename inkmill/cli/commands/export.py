"""inkmill export: models for other runtimes."""

from __future__ import annotations

from pathlib import Path

import click

from inkmill.cli.model_argument import HELP
from inkmill.cli.options import ANY_PATH, model_name_option


@click.command(epilog=f"MODEL is {HELP}.")
@click.argument("model", default="shipped")
@click.option("--to", type=click.Choice(["savedmodel", "onnx"]), required=True, help="Format.")
@click.option("--out", type=ANY_PATH, required=True, help="Folder (savedmodel) or file (onnx).")
@model_name_option
def export(model: str, to: str, out: Path, name: str | None) -> None:
    """Write MODEL as a SavedModel or an ONNX file, checked against its golden set."""
    from inkmill.cli.model_argument import find_model
    from inkmill.trainer.publish.exporters import export_onnx, export_savedmodel

    files = find_model(model, name)
    write = export_onnx if to == "onnx" else export_savedmodel
    difference = write(files, out)
    click.echo(
        f"{out}: model {files.manifest.version[:16]}; its readings of the golden set differ by "
        f"at most {difference:.6f}"
    )
