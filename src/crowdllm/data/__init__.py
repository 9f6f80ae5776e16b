"""Problems, profiles, responses, and the study that holds them together."""
