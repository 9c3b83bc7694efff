"""`fer-edge doctor`: checks of a device, each with a result that says what to do."""
