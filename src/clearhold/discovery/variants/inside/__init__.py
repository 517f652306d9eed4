"""Programs that run inside the sandbox, on trees that strangers wrote."""
