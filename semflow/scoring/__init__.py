"""Any system's output folder under the field's protocols."""
