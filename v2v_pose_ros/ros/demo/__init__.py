"""The demo: synthetic cameras and the nodes over DDS, watched and measured."""
