"""A trained network as a folder that timm loads, proven by a fresh process before it gets its name."""

from scaler.exporter.exporting import Export, export
from scaler.exporter.fusing import fuse
from scaler.exporter.verification import ExportError

__all__ = ["Export", "ExportError", "export", "fuse"]
