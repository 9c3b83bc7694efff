"""State, events and availability of a camera for an MQTT broker, and for Home Assistant."""
