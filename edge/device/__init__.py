"""The device: temperature and throttling of the board, host information, version, environment variables."""
