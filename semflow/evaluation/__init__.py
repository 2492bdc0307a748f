"""Both directions of a checkpoint over the val split."""
