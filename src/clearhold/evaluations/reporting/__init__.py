"""What is told of a test: results with their uncertainty, the report, the reply, and the signatures."""
