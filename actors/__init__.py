"""Ray actors that hold generation stages on their device and pull work."""
