"""Who runs what: operators' inventories, sealed for them alone and matched by keyed values."""
