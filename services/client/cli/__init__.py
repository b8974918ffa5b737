"""The command line `cvc`."""
