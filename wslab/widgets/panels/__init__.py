"""The panels of a Server and a Client."""
