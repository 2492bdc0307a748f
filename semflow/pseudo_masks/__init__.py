"""Labels as colours: the palette of Eq. 7, the noise of Eq. 14, and their shards."""
