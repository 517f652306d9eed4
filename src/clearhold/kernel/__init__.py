"""Pure building blocks: no input, no output, no clock of their own."""
