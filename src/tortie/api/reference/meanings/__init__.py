"""What every field of every kind means, in one sentence each: tables by struct and attribute."""
