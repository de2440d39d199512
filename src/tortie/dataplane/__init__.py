"""One reconciler loop and its targets: what is wanted against what the kernel has."""
