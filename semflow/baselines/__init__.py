"""What the flow is compared with."""
