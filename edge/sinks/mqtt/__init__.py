"""The MQTT output: state, events and availability of a camera for a broker, and for Home Assistant."""
