"""Samples on disk: the index, and tars of pixels and of latents."""
