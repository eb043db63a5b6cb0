"""Does a canary tell the truth? Builds whose harm is known, tried on the canaries that each strategy places."""
