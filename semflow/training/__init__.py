"""From samples to weights: order, draws, losses, the loop."""
