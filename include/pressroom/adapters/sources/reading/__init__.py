"""What sources send, read in a process with limits: ``bounded_reading`` calls these modules by name."""
