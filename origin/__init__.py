"""HTTP: deliveries and jobs for labels, manifests and signed chunks for players."""
