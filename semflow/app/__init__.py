"""The page of `semflow app`: both directions of a checkpoint in a browser."""
