"""What a checkpoint does with pictures: latents both ways, forms of in- and output, windows."""
