"""One module for each row; its function `measure` yields tables."""
