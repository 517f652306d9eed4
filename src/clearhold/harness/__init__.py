"""The worker that runs models through suites, on Inspect AI (the extra `eval`); no hub imports it."""
