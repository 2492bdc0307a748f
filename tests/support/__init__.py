"""What several tests stand on: small data and networks, and programs run in processes."""
