"""The CNI plugin, a tiny client of the agent, and its server side."""
