"""Both directions of a checkpoint over a held-out split."""
