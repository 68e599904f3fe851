"""The command line: a file per verb. Nothing below this room prints."""
