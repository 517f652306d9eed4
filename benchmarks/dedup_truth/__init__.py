"""The benchmark of deduplication: public truth, splits, models and measures."""
