"""What `semflow init` does with a user's own images: pairs, label ids, raw tree and block."""
