"""Settings that ship with the package, as YAML: one file per dataset, with only what differs from the defaults."""
