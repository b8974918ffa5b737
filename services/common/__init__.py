"""What the three services share: the vocabulary of jobs and events, and the adapters to broker, store and process."""
