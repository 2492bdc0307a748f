"""Latents of images, computed ahead of training."""
