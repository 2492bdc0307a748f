"""The autoencoder, the velocity field, and where their weights come from."""
