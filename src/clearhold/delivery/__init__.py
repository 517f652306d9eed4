"""How people and programs reach the services."""
