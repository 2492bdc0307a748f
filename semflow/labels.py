"""What a label's ids mean beside the classes."""

IGNORE_INDEX = 255
"""The id of pixels without a class: never learned from, never counted."""
