"""The command that hands a network over."""

import click

from scaler.cli.options import storage_option, study_argument
from scaler.cli.output import quiet_optuna


@click.command()
@study_argument
@click.option("--trial", default="best", show_default=True, metavar="best|N|DIGEST", help="Which network.")
@click.option("--to", "folder", required=True, metavar="DIR", help="Folder to write.")
@click.option(
    "--weights",
    metavar="final|confirm|search|PATH",
    help="Of scaler train, of scaler confirm, of the search, or of a .safetensors file; by default the first there is.",
)
@click.option("--onnx", is_flag=True, help="Write model.onnx as well.")
@click.option("--fuse", is_flag=True, help="Fold batch norms into convolutions: in model.onnx, and by scaler.fuse.")
@click.option("--force", is_flag=True, help="Replace an earlier export.")
@storage_option
def export(
    study: str,
    trial: str,
    folder: str,
    weights: str | None,
    onnx: bool,
    fuse: bool,
    force: bool,
    storage: str | None,
) -> None:
    """Write a network's weights as a folder that timm loads, and prove it in a fresh process.

    \b
    Examples: scaler export studies/quickstart --trial best --to exports/quickstart
              scaler export studies/quickstart --weights confirm --onnx --fuse --to exports/deployed
    """
    from scaler.config import load_study
    from scaler.exporter import export as write

    quiet_optuna()
    config = load_study(study, {"storage.url": storage})
    found = write(config, trial, folder, weights=weights, onnx=onnx, fuse=fuse, force=force)
    recorded = "nothing recorded" if found.recorded is None else f"recorded {found.recorded:.4f}"
    moved = f" ({found.otherwise} images of another class by the training's own resizing)" if found.otherwise else ""
    click.echo(
        f"{found.folder}: tier {found.tier}, weights from {found.weights}; loaded by timm in a fresh process: "
        f"largest difference of logits {found.max_difference} on {found.images} images, "
        f"validation accuracy {found.accuracy:.4f}, {recorded}{moved}"
    )
    if found.fused_difference is not None:
        click.echo(
            f"no batch norm left: logits differ by {found.fused_difference:.1e} of the largest, "
            f"{found.speed_up:.2f} × as fast; scaler.fuse(model) does it"
        )
    if found.onnx_difference is not None:
        click.echo(f"model.onnx: ONNX Runtime's logits differ by up to {found.onnx_difference:.1e}")
    plugin = "import scaler.models first, then " if found.tier == "plugin" else ""
    click.echo(f'load it with {plugin}timm.create_model("local-dir:{found.folder}", pretrained=True)')
