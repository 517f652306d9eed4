"""Foreign formats, pure: bytes in, typed values out, and back."""
