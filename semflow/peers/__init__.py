"""The systems that the paper compares with, trained on the flow's own samples."""
