# Linters, types and layers
check:
    ruff check .
    ruff format --check .
    mypy
    lint-imports

# The tests, or those of some files: just test tests/analysis
test *files:
    pytest {{ if files == "" { "" } else { '-m ""' } }} {{files}}

# The docs site, rebuilt at every change: http://localhost:8000
docs:
    mkdocs serve

# How fast an epoch is, compared with the plain loop; on an idle machine
bench *options:
    python tests/benchmarks/epoch_speed.py {{options}}
