"""What every schema of params.yaml is made of, how the file is read, what is said of misfits."""
