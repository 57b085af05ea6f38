"""Networks, losses and published weights."""
