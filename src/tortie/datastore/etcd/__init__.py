"""The etcd v3 driver: messages on the wire, connections with fail-over, watches that resume, and the datastore."""
