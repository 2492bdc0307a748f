"""Latents computed ahead of training: of images, and of perturbed pseudo-masks."""
