"""The webhooks function: delivers the events of the bus to the operator's URL, signed."""
