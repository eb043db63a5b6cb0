"""Many runs: what they are mapped over, and what is concluded from them."""
