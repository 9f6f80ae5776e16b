"""A local page to write problems, choose who is asked, and see the answers."""
