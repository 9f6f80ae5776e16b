"""The belief generator and the blender: from references and profiles to a person's response distribution."""
