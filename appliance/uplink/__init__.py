"""Device side: the outbox leaves over MQTT."""
