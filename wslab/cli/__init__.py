"""The command line: `wslab lab`, `wslab serve`, `wslab doctor`."""
