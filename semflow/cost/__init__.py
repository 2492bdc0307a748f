"""What a data set's block of params.yaml costs before anything runs: work, memory, disk, hours."""
