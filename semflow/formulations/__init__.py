"""What is drawn, the target, and how each direction is solved; one module each."""
