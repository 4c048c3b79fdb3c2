"""From a program to numbers: cores, semaphores, counters, replay and host."""
