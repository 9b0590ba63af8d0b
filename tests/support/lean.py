"""What a session does without while another process tags."""

NOT_HERE = {"cv2", "fabio", "h5py", "keras", "numba", "pandas", "scipy", "tensorflow"}
