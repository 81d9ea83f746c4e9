"""The whole of maicivy on one machine: embedded servers, and the supervisor that `maicivy up` runs."""
