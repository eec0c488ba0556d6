"""Study files and the answers they describe: from a YAML file and a table to a checked survey."""
