"""Several machines under one hub, and what may befall them; see `histories`."""
