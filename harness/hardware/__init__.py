"""What a stage computes on: device, precision, threads, memory."""
