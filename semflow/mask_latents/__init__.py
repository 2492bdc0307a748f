"""Latents of perturbed pseudo-masks, computed ahead of training."""
