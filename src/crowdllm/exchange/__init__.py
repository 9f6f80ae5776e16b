"""Read studies from, and write crowds to, the formats that people already use: one file per format."""
