"""The contract between calculation and reconcilers: frozen data that both import and neither extends."""
