"""Training on several devices and hosts with JAX: the options, the processes, and the steps that they share."""
