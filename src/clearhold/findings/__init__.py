"""What was found: intake, secrecy, priority in time, and which reports are one vulnerability."""
