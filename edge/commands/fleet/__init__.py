"""`fer-edge fleet`: the devices at one MQTT broker, read from what they publish, and their settings."""
