"""What may be said of a model from trials: estimates with their uncertainty, and nothing without it.

Trials of one template resemble each other, so every error here is clustered by template. Nothing
here decides: it estimates, and says how sure the estimate is.
"""
