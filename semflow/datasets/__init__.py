"""Raw data sets: file layout and class mapping only."""
