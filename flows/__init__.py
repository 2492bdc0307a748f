"""When, where and again: Prefect flows over the stages that DVC decides about."""
