"""The checked list of a data set's samples."""
