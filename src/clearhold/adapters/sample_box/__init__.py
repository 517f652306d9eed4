"""Sandboxes that live as long as a sample of a model test, with a record of every packet."""

from clearhold.adapters.sample_box.box import (
    Asked,
    Box,
    BoxEndedError,
    Boxes,
    Done,
    Left,
    Served,
)

__all__ = ["Asked", "Box", "BoxEndedError", "Boxes", "Done", "Left", "Served"]
