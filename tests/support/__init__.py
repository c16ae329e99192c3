"""What this project's own tests stand on: engines, logs and stores in memory, made-up changes."""
