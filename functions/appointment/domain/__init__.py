"""The rules of appointment: working hours, free slots, states, series."""
