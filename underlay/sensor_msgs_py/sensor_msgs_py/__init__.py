"""Reading and writing of sensor messages."""
