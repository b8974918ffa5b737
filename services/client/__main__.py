"""`python -m services.client` is `cvc`."""

from services.client.cli import main

if __name__ == "__main__":
    main()
