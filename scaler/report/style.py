"""How all plots look: one palette that colour-blind readers can tell apart, and a layout for light and dark pages."""

from typing import Any

import plotly.graph_objects as go

COLOURS = {"discovered": "#0072B2", "rule": "#E69F00", "classic": "#D55E00", "published": "#808080"}
"""Of Okabe and Ito's palette for colour-blind readers, "Color Universal Design" (2008)."""

SYMBOLS = {"discovered": "circle", "rule": "diamond", "classic": "square", "published": "x"}
"""What colour says, said again by shape."""

BEST = "#009E73"
SCALE = "Cividis"
INK = "#7a7a7a"  # readable on white and on black

_FONT = {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif", "size": 13, "color": INK}
_AXIS = {"gridcolor": "rgba(128,128,128,0.25)", "zeroline": False, "linecolor": INK, "ticks": "outside"}


def figure(traces: list[Any], **layout: Any) -> go.Figure:
    """A figure of the traces in the report's style; `layout` as plotly has it."""
    return go.Figure(
        traces,
        go.Layout(
            font=_FONT,
            paper_bgcolor="rgba(0,0,0,0)",
            plot_bgcolor="rgba(0,0,0,0)",
            margin={"l": 60, "r": 20, "t": 30, "b": 55},
            height=460,
            legend={"orientation": "h", "y": -0.22, "x": 0},
            hoverlabel={"align": "left"},
            **layout,
        ),
    )


def axis(title: str, **options: Any) -> dict[str, Any]:
    """An axis in the report's style."""
    return {**_AXIS, "title": {"text": title}, **options}
