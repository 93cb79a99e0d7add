"""What all trainings share: runs that can be killed and go on, rates, averages of weights."""
