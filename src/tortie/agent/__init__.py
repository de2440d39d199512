"""The node daemon: wires datastore, calculation and dataplane together."""
