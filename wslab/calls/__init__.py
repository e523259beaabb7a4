"""How work gets from one thread to another: called, crossed over, waited for."""
