"""Sources of captioned photographs, one module per kind."""
