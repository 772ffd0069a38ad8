"""Caption models: what trains, exports and checks them. Development only, never deployed."""
