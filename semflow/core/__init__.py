"""What all stages share; knows no data set, no torch and no stage."""
