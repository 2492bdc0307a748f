"""The autoencoder of a data set that no published one fits."""
