"""What several tests stand on: small data, small networks, and programs that run in processes of their own."""
