"""The path between images and masks, and how it is solved."""
