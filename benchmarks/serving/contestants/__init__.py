"""One contestant a file: how it is installed and started, what it is asked, how its answer is read."""
