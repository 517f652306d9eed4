"""Pages for people: signing in, their account, and recovery. Everything else they call the API for."""
