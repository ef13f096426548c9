"""Recordings of any layout to our episodes, by a map that says what their columns are."""
