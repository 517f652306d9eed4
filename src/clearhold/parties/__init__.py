"""Who takes part: AI labs, finders, maintainers, operators, coordinators."""
