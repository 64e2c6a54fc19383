"""One public layout per file: how to tell it from its rows, how to read a row, how to write one."""
