"""The agreements a new hub begins with, one file each."""
