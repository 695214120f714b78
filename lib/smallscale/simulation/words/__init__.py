"""The town in words: what its people remember, say and hear is text."""
