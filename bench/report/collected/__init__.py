"""The page of a class: what many people's runs come to together."""
