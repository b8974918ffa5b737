"""`python -m services.transcoder`."""

from services.transcoder.app import main

main()
