"""The report's plots, each with its words for those who do not see it, and each as a picture of its own."""

import html
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from scaler.budget import format_quantity
from scaler.errors import InputError, unknown
from scaler.fitted import observations
from scaler.record import has_record
from scaler.report.findings import Findings
from scaler.report.style import BEST, COLOURS, INK, SYMBOLS, axis, figure
from scaler.report.thinning import thinned
from scaler.report.triangle import alternative, triangle
from scaler.trials import read_curves

_PICTURES = (".png", ".svg", ".pdf")
_FORECASTS = 40  # budgets at which a law's curve is drawn
_BEYOND = 4.0  # how far beyond the largest budget
_MAX_CURVES = 300
"""Learning curves that are drawn: of more trainings, the best and the last."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot: what it is called in links, its title, the figure, and what it shows in words."""

    name: str
    title: str
    figure: go.Figure
    words: str


def front(findings: Findings) -> list[Plot]:
    """Accuracy against MACs: every network trained here, the front, and what is published on ImageNet."""
    table = findings.ranked.assign(shown=lambda rows: rows["confirmed_accuracy"].fillna(rows["accuracy"]))
    table = table.dropna(subset="shown")
    traces: list[Any] = [
        _cloud(rows, "shown", str(source)) for source, rows in table.groupby("source", sort=False) if len(rows)
    ]
    best = table[table["pareto"].fillna(False)].sort_values("macs")
    line = {"color": BEST, "width": 2, "shape": "hv"}
    traces.append(go.Scatter(x=best["macs"], y=best["shown"], mode="lines", line=line, hoverinfo="skip", name="front"))
    published = findings.table[findings.table["source"] == "published"]
    traces.append(_cloud(published, "published_top1", "published").update(visible="legendonly"))
    shown = figure(
        traces, xaxis=axis("MACs of one image", type="log", exponentformat="SI"), yaxis=axis("validation accuracy")
    )
    words = f"Accuracy against MACs of {len(table)} networks. The front, from the cheapest: " + "; ".join(
        f"{row['model']} with {format_quantity(row['macs'])} MACs and {row['shown']:.4f}"
        for row in best.to_dict("records")
    )
    title = "Accuracy against compute"
    hint = " Published networks (ImageNet, other data) can be switched on in the legend."
    return [Plot("front", title, shown, f"{words}.{hint}")] if len(table) else []


def triangles(findings: Findings) -> list[Plot]:
    """The triangle of each budget."""
    fitted = {part.macs: part for part in findings.fit.budgets} if findings.fit else {}
    objective = findings.configs[0].objective
    if len({space.family for config in findings.configs for space in config.spaces}) > 1:
        return []
    return [
        Plot(
            f"triangle-{format_quantity(observed.macs)}",
            f"The triangle at {format_quantity(observed.macs)} MACs",
            triangle(observed, fitted.get(observed.macs), objective),
            alternative(observed, fitted.get(observed.macs), objective),
        )
        for observed in observations(findings.studies)
        if len(observed.values)
    ]


def curves(findings: Findings) -> list[Plot]:
    """The objective after every epoch of every training of the searches; those stopped early end before the others."""
    traces: list[Any] = []
    stopped = drawn = 0
    for parts in findings.studies:
        reports = read_curves(parts.studies[""])
        trials = [trial for trial in parts.trials[""] if reports.get(trial.number) and has_record(trial)]
        trials.sort(key=lambda trial: -(trial.value or 0.0))
        stopped += sum(trial.state.name == "PRUNED" for trial in trials)
        drawn += len(trials)
        for trial in trials[: _MAX_CURVES - 20] + trials[_MAX_CURVES - 20 :][-20:]:
            curve = reports[trial.number]
            is_stopped = trial.state.name == "PRUNED"
            traces.append(
                go.Scatter(
                    x=list(curve),
                    y=list(curve.values()),
                    mode="lines+markers",
                    line={
                        "color": COLOURS["classic"] if is_stopped else COLOURS["discovered"],
                        "dash": "dot" if is_stopped else "solid",
                        "width": 1.2,
                    },
                    marker={"size": 5, "symbol": "x" if is_stopped else "circle"},
                    opacity=0.75,
                    name="stopped early" if is_stopped else "to the end",
                    legendgroup=str(is_stopped),
                    showlegend=not any(trace.legendgroup == str(is_stopped) for trace in traces),
                    text=html.escape(trial.user_attrs["model"]),
                    hovertemplate="%{text}<br>epoch %{x}: %{y:.4f}<extra></extra>",
                )
            )
    if not traces:
        return []
    shown = figure(traces, xaxis=axis("epoch", dtick=1), yaxis=axis(findings.configs[0].objective))
    words = f"Learning curves of {drawn} trainings of the search, {stopped} of them stopped early."
    return [Plot("curves", "Learning curves", shown, words)]


def law(findings: Findings) -> list[Plot]:
    """Error against budget: each rule's law, its measured errors, and the discovered rule's forecast."""
    laws = findings.fit.laws if findings.fit else {}
    if not laws:
        return []
    traces: list[Any] = []
    palette = [BEST, *COLOURS.values(), "#CC79A7", "#56B4E9", "#F0E442"]
    words = []
    for index, (rule, fitted) in enumerate(laws.items()):
        macs = np.geomspace(fitted.macs.min(), _BEYOND * fitted.macs.max(), _FORECASTS)
        colour = palette[index % len(palette)]
        traces.append(
            go.Scatter(
                x=macs,
                y=[fitted.at(value) for value in macs],
                mode="lines",
                line={"color": colour, "width": 3 if not index else 1.5, "dash": "solid" if not index else "dot"},
                name=rule,
                legendgroup=rule,
            )
        )
        traces.append(
            go.Scatter(
                x=fitted.macs,
                y=fitted.errors,
                error_y={"type": "data", "array": 1.96 * fitted.deviations, "color": colour},
                mode="markers",
                marker={"color": colour, "symbol": index, "size": 9},
                legendgroup=rule,
                showlegend=False,
                hovertemplate=f"{rule}<br>%{{x:.3s}} MACs: error %{{y:.4f}}<extra></extra>",
            )
        )
        words.append(f"{rule}: {fitted.at(fitted.macs.max()):.4f} at {format_quantity(fitted.macs.max())}")
        if not index:
            casts = [fitted.forecast(round(value)) for value in macs]
            traces.append(
                go.Scatter(
                    x=[*macs, *macs[::-1]],
                    y=[*(cast.high for cast in casts), *(cast.low for cast in casts[::-1])],
                    fill="toself",
                    fillcolor="rgba(0,158,115,0.15)",
                    line={"width": 0},
                    hoverinfo="skip",
                    name=f"{rule}, 95 %",
                )
            )
    shown = figure(
        traces, xaxis=axis("MACs of one image", type="log", exponentformat="SI"), yaxis=axis("error", type="log")
    )
    title = "The scaling law and its forecast"
    return [Plot("law", title, shown, f"Error by the fitted law of each rule. {'; '.join(words)}.")]


def shapes(findings: Findings) -> list[Plot]:
    """What the discovered network looks like beside the classic shape: a bar a stage, as wide as it is deep."""
    ranked = findings.ranked
    chosen = [ranked[ranked["source"] == source].head(1) for source in ("discovered", "classic")]
    rows = pd.concat(chosen).to_dict("records")
    if len(rows) < 2 or len({row["family"] for row in rows}) > 1:
        return []
    traces: list[Any] = []
    words = []
    for row in rows:
        depths, widths = ([int(part) for part in row[name].split("-")] for name in ("depths", "widths"))
        widths = widths[len(widths) - len(depths) :] if len(widths) >= len(depths) else widths
        ends = np.cumsum(depths)
        traces.append(
            go.Bar(
                x=ends - np.array(depths) / 2,
                y=widths[: len(depths)],
                width=np.array(depths) * 0.96,
                marker={"color": COLOURS[row["source"]], "opacity": 0.55, "line": {"color": INK, "width": 1}},
                text=[f"{depth} × {width}" for depth, width in zip(depths, widths, strict=False)],
                hovertemplate="%{text} channels<extra></extra>",
                name=f"{html.escape(row['model'])} at {row['resolution']} px",
            )
        )
        words.append(
            f"{row['model']} ({row['source']}): {row['resolution']} pixels, stages of {row['depths']} blocks and "
            f"{row['widths']} channels"
        )
    shown = figure(traces, barmode="overlay", xaxis=axis("blocks, one after another"), yaxis=axis("channels"))
    return [Plot("shapes", "What was found, beside the classic shape", shown, f"{'. '.join(words)}.")]


PLOTS: dict[str, Callable[[Findings], list[Plot]]] = {
    "front": front,
    "triangle": triangles,
    "curves": curves,
    "law": law,
    "shapes": shapes,
}
"""By the names that `scaler report --plot` takes."""


def write_picture(findings: Findings, name: str, to: Path) -> None:
    """Writes one plot as a picture: .png, .svg or .pdf. Of several triangles it is the largest budget's.

    It takes a Chromium or Chrome on this machine, which draws it. Raises `InputError` for another name or suffix, for a
    plot that these studies do not have, and where there is no browser.
    """
    if name not in PLOTS:
        raise unknown("plot", name, PLOTS)
    if to.suffix not in _PICTURES:
        raise InputError(f"to: {to} is no picture; give a file that ends in {', '.join(_PICTURES)}")
    found = PLOTS[name](findings)
    if not found:
        raise InputError(f"plot: these studies have no {name} ({findings.no_fit or 'too few trials'}); search further")
    picture = found[-1].figure.update_layout(paper_bgcolor="white", plot_bgcolor="white", title=found[-1].title)
    picture.update_layout(margin={"t": 60})
    try:
        picture.write_image(to, width=900, height=620, scale=1 if to.suffix != ".png" else 1.5)
    except Exception as error:  # kaleido's own errors are of several kinds
        if "chrome" not in f"{type(error).__name__} {error}".lower():
            raise
        raise InputError("plot: drawing a picture takes Chromium or Chrome, which is not installed here") from None


def _cloud(rows: pd.DataFrame, column: str, source: str) -> go.Scatter:
    rows = rows.iloc[thinned(rows[column])]
    texts = [
        f"{html.escape(str(row.model))}<br>{row.resolution} px, depths {row.depths}, widths {row.widths}"
        for row in rows.itertuples()
    ]
    return go.Scatter(
        x=rows["macs"],
        y=rows[column],
        mode="markers",
        marker={
            "color": COLOURS[source],
            "symbol": SYMBOLS[source],
            "size": 10,
            "line": {"width": 1, "color": "#ffffff"},
        },
        text=texts,
        hovertemplate="%{text}<br>%{x:.4s} MACs, %{y:.4f}<extra></extra>",
        name=source,
    )
