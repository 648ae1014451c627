"""Work on what others wrote, in a process with limits on time and memory."""
