"""The command line: `wslab lab`, `wslab serve`, `wslab tap`, `wslab doctor`."""
