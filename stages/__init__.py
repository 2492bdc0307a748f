"""DVC entry points: one file a stage; parameters in, one call, outputs out."""
