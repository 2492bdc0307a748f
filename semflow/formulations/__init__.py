"""What x_t, the target and the solve are; one module each."""
