"""Many people's runs in one comparison."""
