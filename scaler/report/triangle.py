"""The triangle: how good every split of a budget is, by the networks that were evaluated."""

import html
from typing import Any

import numpy as np
import plotly.graph_objects as go

from scaler.budget import format_quantity
from scaler.fitted import BudgetFit, Observations
from scaler.report.style import BEST, COLOURS, INK, SCALE, figure
from scaler.report.thinning import thinned
from scaler.rounding import FloatArray
from scaler.scaling import RULES

_CORNERS = {"depth": (1.0, 0.0, 0.0), "width": (0.0, 1.0, 0.0), "resolution": (0.0, 0.0, 1.0)}
_LABELS = {"depth": "bottom center", "width": "bottom center", "resolution": "top center"}
_GRID = 120  # places on a side of the filled triangle
_LINES = (0.2, 0.4, 0.6, 0.8)
_HEIGHT = 3**0.5 / 2


def triangle(observed: Observations, fitted: BudgetFit | None, objective: str) -> go.Figure:
    """The triangle of one budget: networks as points, the fitted surface as colour, its best split and their region."""
    traces: list[Any] = []
    values = observed.values
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if fitted is not None:
        traces += [_surface(fitted, low, high, objective), _region(fitted)]
    traces += [_frame(), _grid()]
    if len(values):
        traces.append(_points(observed, objective, low, high, has_bar=fitted is None))
    traces += _named()
    if fitted is not None:
        traces += _best(fitted)
    return figure(
        traces,
        xaxis={"visible": False, "range": [-0.12, 1.12], "constrain": "domain"},
        yaxis={"visible": False, "range": [-0.1, 0.96], "scaleanchor": "x", "constrain": "domain"},
    ).update_layout(height=620, margin={"l": 5, "r": 5, "t": 5, "b": 5}, legend={"y": -0.16, "yanchor": "top"})


def alternative(observed: Observations, fitted: BudgetFit | None, objective: str) -> str:
    """The triangle in words."""
    text = (
        f"Triangle of all splits of {format_quantity(observed.macs)} MACs, with the corners depth, width and "
        f"resolution and {len(observed.values)} networks as points"
    )
    if len(observed.values):
        text += f", their {objective} from {observed.values.min():.4f} to {observed.values.max():.4f}"
    if fitted is None:
        return f"{text}. They are too few for a fit."
    depth, width, resolution = fitted.optimum.shares.to_list()
    text += (
        f". The fitted best split is {depth:.2f} depth, {width:.2f} width, {resolution:.2f} resolution; with 95 % "
        f"confidence it lies in a region of {fitted.optimum.area:.0%} of the triangle: "
    )
    ranges = [f"{name} {a:.2f} to {b:.2f}" for name, (a, b) in zip(_CORNERS, fitted.optimum.ranges, strict=True)]
    return f"{text}{', '.join(ranges)}."


def _places(shares: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Where rules (n, 3) lie on the page: depth at the lower left, width at the lower right, resolution above."""
    return shares[:, 1] + shares[:, 2] / 2, shares[:, 2] * _HEIGHT


def _surface(fitted: BudgetFit, low: float, high: float, objective: str) -> go.Contour:
    x, y = np.linspace(0, 1, _GRID), np.linspace(0, _HEIGHT, _GRID)
    across, up = np.meshgrid(x, y)
    resolution = up / _HEIGHT
    width = across - resolution / 2
    shares = np.stack([1 - width - resolution, width, resolution], axis=-1)
    inside = shares.min(axis=-1) >= -1e-9
    values = np.full(inside.shape, np.nan)
    values[inside] = 1 - fitted.surface.error(np.clip(shares[inside], 0, 1))[0]
    return go.Contour(
        x=x.round(4),
        y=y.round(4),
        z=values.round(5),
        zmin=low,
        zmax=high,
        colorscale=SCALE,
        contours={"showlines": False},
        ncontours=24,
        connectgaps=False,
        hoverinfo="skip",
        colorbar=_bar(objective),
        name="fitted surface",
    )


def _region(fitted: BudgetFit) -> go.Scatter:
    x, y = _places(fitted.optimum.region)
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"symbol": "line-ne-open", "size": 7, "color": "#000000", "opacity": 0.6, "line": {"width": 1}},
        hoverinfo="skip",
        name="may be the best (95 %)",
    )


def _bar(objective: str) -> dict[str, Any]:
    """The colour scale, below the triangle, so that it fits on a phone."""
    title = {"text": objective, "side": "bottom"}
    return {"title": title, "orientation": "h", "thickness": 12, "len": 0.7, "y": -0.02, "yanchor": "top"}


def _frame() -> go.Scatter:
    x, y = _places(np.array([*_CORNERS.values(), _CORNERS["depth"]]))
    return go.Scatter(x=x, y=y, mode="lines", line={"color": INK, "width": 1.5}, hoverinfo="skip", showlegend=False)


def _grid() -> go.Scatter:
    """Lines of equal share, every fifth."""
    x: list[float | None] = []
    y: list[float | None] = []
    for share in _LINES:
        for axis in range(3):
            ends = np.zeros((2, 3))
            ends[:, axis] = share
            ends[0, (axis + 1) % 3] = ends[1, (axis + 2) % 3] = 1 - share
            across, up = _places(ends)
            x += [*across.tolist(), None]
            y += [*up.tolist(), None]
    return go.Scatter(
        x=x, y=y, mode="lines", line={"color": INK, "width": 0.5, "dash": "dot"}, hoverinfo="skip", showlegend=False
    )


def _points(observed: Observations, objective: str, low: float, high: float, *, has_bar: bool) -> go.Scatter:
    shown = thinned(observed.values)
    x, y = _places(observed.shares[shown])
    texts = [
        f"{html.escape(observed.models[index])}<br>{objective} {observed.values[index]:.4f}, "
        f"n = {observed.seeds[index]:.0f}<br>"
        + ", ".join(f"{axis} {share:.2f}" for axis, share in zip(_CORNERS, observed.shares[index], strict=True))
        for index in shown
    ]
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        marker={
            "size": 11,
            "color": observed.values[shown],
            "cmin": low,
            "cmax": high,
            "colorscale": SCALE,
            "line": {"color": "#ffffff", "width": 1.5},
            **({"colorbar": _bar(objective)} if has_bar else {}),
        },
        text=texts,
        hovertemplate="%{text}<extra></extra>",
        name="networks",
    )


def _named() -> list[go.Scatter]:
    """The corners and the published compound rule, by name."""
    marker = {"symbol": "diamond-open", "size": 12, "color": COLOURS["rule"], "line": {"width": 2.5}}
    x, y = _places(np.array([*_CORNERS.values()]))
    corners = go.Scatter(
        x=x,
        y=y,
        mode="markers+text",
        marker=marker,
        text=[*_CORNERS],
        textposition=[*_LABELS.values()],
        hovertemplate="%{text} alone<extra></extra>",
        name="single-axis rules",
    )
    compound = RULES["compound"]
    x, y = _places(np.array([compound.to_list()]))
    published = go.Scatter(
        x=x,
        y=y,
        mode="markers",
        marker={**marker, "symbol": "cross"},
        text=", ".join(f"{share:.2f}" for share in compound.to_list()),
        hovertemplate="published compound rule: %{text}<extra></extra>",
        name="published compound rule",
    )
    return [corners, published]


def _best(fitted: BudgetFit) -> list[go.Scatter]:
    """The fitted best split as a star, and what is to be pointed at: of points that overlap plotly takes the smallest,
    which would be a network that lies under the star."""
    shares = fitted.optimum.shares
    x, y = _places(np.array([shares.to_list()]))
    rule = shares.compound()
    star = go.Scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"symbol": "star", "size": 20, "color": BEST, "line": {"color": "#ffffff", "width": 1.5}},
        hoverinfo="skip",
        name="best split (fitted)",
    )
    middle = go.Scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"size": 6, "color": BEST, "opacity": 0},
        hovertemplate=(
            f"best split: depth {shares.depth:.2f}, width {shares.width:.2f}, resolution {shares.resolution:.2f}<br>"
            f"α {rule.alpha:.3f}, β {rule.beta:.3f}, γ {rule.gamma:.3f}<extra></extra>"
        ),
        showlegend=False,
    )
    return [star, middle]
