"""The commands of the device: run, predict, cameras, models, config."""
