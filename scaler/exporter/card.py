"""The model card of an export: what the network is, how it was found, what it reaches, how it is loaded."""

import statistics
from dataclasses import dataclass

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from scaler.budget import Budget, format_quantity
from scaler.config import StudyConfig
from scaler.data import Dataset
from scaler.entries import timm_entry
from scaler.exporter.fusing import Fused
from scaler.exporter.verification import Proof
from scaler.exporter.weights import COMMANDS, Weights
from scaler.exporter.without_scaler import code_without_scaler

_TIERS = {"stock": "timm alone loads it", "plugin": "timm loads it after `import scaler.models`"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What an export has found out about itself.

    proof            of the folder
    fused            the network with its batch norms folded, or None
    onnx_difference  of ONNX Runtime's logits from torch's; None without an ONNX file
    """

    proof: Proof
    fused: Fused | None
    onnx_difference: float | None


def model_card(config: StudyConfig, weights: Weights, data: Dataset, checked: Checked) -> ModelCard:
    """The card, README.md of the export's folder, with metadata as the Hugging Face hub reads them."""
    record, network = weights.record, weights.record.architecture
    metadata = ModelCardData(
        model_name=record.model,
        library_name="timm",
        license="unknown",  # the weights' owner chooses it
        pipeline_tag="image-classification",
        tags=["scaler", network.family, "compound-scaling"],
        eval_results=_results(weights, data, checked.proof),
    )
    rows = "\n".join(f"| {name} | {value} |" for name, value in _table(config, weights, data, checked).items())
    return ModelCard(
        f"""---
{metadata.to_yaml()}
---

# {record.model}: {network.family} at {network.resolution} px

Found by scaler in the study `{config.name}`, which searched how to split a budget of
{Budget(**record.budget) if record.budget else config.budgets} over depth, width and resolution.

| | |
|---|---|
{rows}

The weights' licence is for their owner to fill in: `license` above.

{_usage(weights, checked)}
"""
    )


def _results(weights: Weights, data: Dataset, proof: Proof) -> list[EvalResult]:
    """The accuracies of these very weights, both through timm's own eval transform."""
    found = {"validation": (proof.accuracy, len(data.validation))}
    if weights.record.test_accuracy is not None:
        found["test"] = (weights.record.test_accuracy, len(data.test))
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type=data.name,
            dataset_name=f"{data.name} ({split}, {count} images)",
            dataset_split=split,
            metric_type="accuracy",
            metric_value=value,
        )
        for split, (value, count) in found.items()
    ]


def _table(config: StudyConfig, weights: Weights, data: Dataset, checked: Checked) -> dict[str, str]:
    record, network, proof = weights.record, weights.record.architecture, checked.proof
    cost, tier = network.cost(), timm_entry(network).tier
    shares = "depth {:.2f}, width {:.2f}, resolution {:.2f}".format(*record.rule) if record.rule else "none"
    rows = {
        "shares of the growth": shares,
        "depths": "-".join(map(str, network.depths)),
        f"widths ({', '.join(network.width_names)})": "-".join(map(str, network.widths)),
        "MACs": f"{cost.macs:,} ({format_quantity(cost.macs)})",
        "parameters": f"{cost.params:,}",
        "activations": f"{cost.activations:,}",
        "data": f"{data.name}, {len(data.classes)} classes, {len(data.train)} training images",
        "weights": f"of the file {weights.origin}, whose training is not on record",
        "validation accuracy": f"{proof.accuracy:.4f} on {len(data.validation)} images, by timm's eval transform",
    }
    if record.accuracy is not None:
        rows["weights"] = f"of `scaler {COMMANDS[weights.origin]}`: {record.epochs} epochs, seed {record.seed}"
        rows["validation accuracy"] += f"; {record.accuracy:.4f} as the training resizes them"
    if record.initial is not None:
        rows["began with"] = "{tensors} of {of} tensors of {source}".format(**record.initial)
    if record.test_accuracy is not None:
        rows["test accuracy"] = f"{record.test_accuracy:.4f} on {len(data.test)} images, by timm's eval transform"
    rows["confirmed"] = _confirmed(weights)
    rows["export tier"] = f"{tier}: {_TIERS[tier]}"
    if checked.fused is not None:
        rows["folded batch norms"] = (
            f"logits differ by up to {checked.fused.difference:.1e} of the largest; "
            f"{checked.fused.speed_up:.2f} × as fast where it was exported"
        )
    if checked.onnx_difference is not None:
        rows["ONNX"] = f"`model.onnx`; ONNX Runtime's logits differ by up to {checked.onnx_difference:.1e}"
    return rows


def _confirmed(weights: Weights) -> str:
    """Test accuracy over the seeds of `scaler confirm`."""
    found = [run.test_accuracy for run in weights.confirmations if run.test_accuracy is not None]
    if not found:
        return "not measured over seeds; `scaler confirm` does"
    spread = f" ± {statistics.stdev(found):.4f} (standard deviation)" if len(found) > 1 else ""
    seeds = "seed" if len(found) == 1 else "seeds"
    return f"test accuracy {statistics.mean(found):.4f}{spread}, n = {len(found)} {seeds} of `scaler confirm`"


def _usage(weights: Weights, checked: Checked) -> str:
    network = weights.record.architecture
    plugin = timm_entry(network).tier == "plugin"
    register = "import scaler.models  # registers the entry point\n" if plugin else ""
    parts = [
        f"""## Use

```python
{register}import timm

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_data_config({{}}, model=model))
```"""
    ]
    if checked.fused is not None:
        parts.append("`scaler.fuse(model)` is the same network with its batch norms folded, for evaluation alone.")
    if checked.onnx_difference is not None:
        folded = ", whose batch norms are folded" if checked.fused is not None else ""
        parts.append(
            f"""Without torch, timm and scaler, by ONNX{folded}; `images` is float32 (n, {network.in_channels}, \
{network.resolution}, {network.resolution}), prepared as `pretrained_cfg` in `config.json` says:

```python
import onnxruntime

(logits,) = onnxruntime.InferenceSession("FOLDER/model.onnx").run(["logits"], {{"images": images}})
```"""
        )
    if plugin:
        code = code_without_scaler(network)
        parts.append(
            "timm has no classes for this network: without scaler it can be had as ONNX alone (`scaler export --onnx`)."
            if code is None
            else f"The same network of timm's own classes, without scaler:\n\n```python\n{code}\n```"
        )
    return "\n\n".join(parts)
