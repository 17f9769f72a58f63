"""Where rows live: the schemas so far."""
