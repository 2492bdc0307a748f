"""The `semflow` command."""
